package airlock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/crypto/ssh"
)

// Put sends a folder's files into a folder in there, which is made.
func (c *Client) Put(dir string, files fs.FS) error {
	return c.transfer(putChannel, dir, func(ch ssh.Channel) error {
		err := pack(ch, files)
		return errors.Join(err, ch.CloseWrite())
	})
}

// Get fetches a folder's files from in there into a folder here, which must
// exist, and must not hold files of the same names.
func (c *Client) Get(dir, into string) error {
	return c.transfer(getChannel, dir, func(ch ssh.Channel) error { return unpack(ch, into) })
}

func (c *Client) transfer(kind, dir string, move func(ssh.Channel) error) error {
	err := c.unlessGiven(func() error { return c.move(kind, dir, move) })
	if err != nil {
		return fmt.Errorf("airlock: %s: %w", dir, err)
	}
	return nil
}

func (c *Client) move(kind, dir string, move func(ssh.Channel) error) error {
	ch, told, err := c.open(kind, ssh.Marshal(folder{dir}))
	if err != nil {
		return err
	}
	defer ch.Close()
	why := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(ch.Stderr(), 4096))
		why <- shown(text)
	}()
	err = move(ch)
	if err != nil {
		ch.Close() // the other end may still be sending
	}
	exit := <-told
	if text := <-why; exit.Code > 0 && text != "" {
		err = errors.New(text) // what stopped the other end, and so ours
	} else if err == nil && exit.Code != 0 {
		err = ErrGone
	}
	return err
}

package machine

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// openSSH serves each connection by an sshd of its own, in inetd mode: it
// needs no port, no rights and no daemon.
type openSSH struct {
	s   *supervisor
	dir string
}

func newOpenSSH(s *supervisor) (*openSSH, error) {
	o := &openSSH{s: s, dir: filepath.Join(s.spec.Layout.Etc(), "ssh")}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, err
	}
	var config strings.Builder
	for _, line := range []string{
		"HostKey " + o.hostKey(),
		"AuthorizedKeysFile " + filepath.Join(o.dir, "authorized_keys"),
		"PidFile none", "StrictModes no", "UsePAM no", "PermitRootLogin yes",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PubkeyAuthentication yes",
		"AcceptEnv LANG LC_*", "LogLevel ERROR", "PrintMotd no", "PrintLastLog no",
	} {
		fmt.Fprintln(&config, line)
	}
	config.WriteString("SetEnv")
	for _, v := range s.env {
		fmt.Fprintf(&config, " %q", v)
	}
	config.WriteString("\n")
	for name, text := range map[string]string{"authorized_keys": s.spec.Authorized + "\n", "sshd_config": config.String()} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *openSSH) hostKey() string { return filepath.Join(o.dir, "host_key") }

// serve runs sshd between two pipes, so that the connection itself can be
// frozen and dropped.
func (o *openSSH) serve(conn *tap, hostKey string) {
	if err := os.WriteFile(o.hostKey(), []byte(hostKey), 0o600); err != nil {
		o.s.line("sshd: " + err.Error())
		return
	}
	stdin, toSshd, err := os.Pipe()
	if err != nil {
		return
	}
	fromSshd, stdout, err := os.Pipe()
	if err != nil {
		closeAll([]*os.File{stdin, toSshd})
		return
	}
	log, err := os.OpenFile(filepath.Join(o.dir, "sshd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		closeAll([]*os.File{stdin, toSshd, fromSshd, stdout})
		return
	}
	p, err := o.s.init.start(o.s.spec.Sshd, []string{o.s.spec.Sshd, "-i", "-e", "-f", filepath.Join(o.dir, "sshd_config")},
		o.s.env, "/", []*os.File{stdin, stdout, log})
	closeAll([]*os.File{stdin, stdout, log})
	if err != nil {
		o.s.line("sshd: " + err.Error())
		closeAll([]*os.File{toSshd, fromSshd})
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(toSshd, conn)
		toSshd.Close()
	})
	both.Go(func() {
		io.Copy(conn, fromSshd)
		conn.Close()
	})
	<-p.done
	conn.Close()
	both.Wait()
	fromSshd.Close()
}

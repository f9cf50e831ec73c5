package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
)

// Tokens is a set of random tokens and who holds them. The zero value is an
// empty set, ready to use by several goroutines at once. It keeps no token,
// only its SHA-256, so a memory dump or a careless log line gives none away.
type Tokens struct {
	mu      sync.RWMutex
	callers map[[sha256.Size]byte]Caller
}

// Issue makes a token of 256 random bits for caller. Two calls with the same
// caller make two tokens, and both are valid.
func (t *Tokens) Issue(caller Caller) string {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
	token := "dail-" + base64.RawURLEncoding.EncodeToString(secret[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.callers == nil {
		t.callers = make(map[[sha256.Size]byte]Caller)
	}
	t.callers[sha256.Sum256([]byte(token))] = caller
	return token
}

// Revoke makes token worthless. An unknown token is no error.
func (t *Tokens) Revoke(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.callers, sha256.Sum256([]byte(token)))
}

// Lookup returns who holds token. It has the form of [Config.Identify]. How
// long it takes says nothing about the tokens that exist: what is compared is
// a hash, which a guesser cannot steer.
func (t *Tokens) Lookup(token string) (Caller, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	caller, ok := t.callers[sha256.Sum256([]byte(token))]
	return caller, ok
}

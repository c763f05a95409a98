package mfa

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/tandemhq/tandem/apps/auth/authapi"
)

// Flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	present  byte = 1 << 0
	verified byte = 1 << 2
	attested byte = 1 << 6
)

// authenticator is one in software with one passkey, and the browser that it is plugged into.
type authenticator struct {
	t             testing.TB
	origin, party string
	key           *ecdsa.PrivateKey
	id, handle    []byte
	flags         byte
	// step is by how much the signature counter rises; 0 for an authenticator that does not count.
	step, counter uint32
}

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{
		t: t, origin: "http://localhost:8000", party: "localhost", key: key, id: make([]byte, 32),
		flags: present | verified, step: 1,
	}
	if _, err := rand.Read(a.id); err != nil {
		t.Fatal(err)
	}
	return a
}

// copied is another authenticator with the same passkey.
func (a *authenticator) copied() *authenticator {
	c := *a
	return &c
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (a *authenticator) clientData(kind string, options map[string]any) []byte {
	return encoded(a.t, map[string]any{"type": kind, "challenge": options["challenge"], "origin": a.origin, "crossOrigin": false})
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (a *authenticator) data(flags byte) []byte {
	party := sha256.Sum256([]byte(a.party))
	return binary.BigEndian.AppendUint32(append(party[:], flags), a.counter)
}

// create answers navigator.credentials.create.
func (a *authenticator) create(options map[string]any) authapi.PasskeyAttestation {
	a.t.Helper()
	user, ok := options["user"].(map[string]any)
	if !ok {
		a.t.Fatalf("options without a user: %v", options)
	}
	var err error
	if a.handle, err = base64.RawURLEncoding.DecodeString(user["id"].(string)); err != nil {
		a.t.Fatal(err)
	}
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	public := cbor(a.t, map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	data := slices.Concat(a.data(a.flags|attested), make([]byte, 16), []byte{0, byte(len(a.id))}, a.id, public)
	answer := authapi.PasskeyAttestation{ID: b64(a.id), RawID: b64(a.id), Type: "public-key", Attachment: "platform"}
	answer.Response.ClientDataJSON = b64(a.clientData("webauthn.create", options))
	answer.Response.AttestationObject = b64(cbor(a.t, map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data}))
	answer.Response.Transports = []string{"internal"}
	return answer
}

func cbor(t testing.TB, v any) []byte {
	t.Helper()
	data, err := webauthncbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// get answers navigator.credentials.get.
func (a *authenticator) get(options map[string]any) authapi.PasskeyAssertion {
	a.t.Helper()
	a.counter += a.step
	data, client := a.data(a.flags), a.clientData("webauthn.get", options)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(slices.Concat(data, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	if err != nil {
		a.t.Fatal(err)
	}
	answer := authapi.PasskeyAssertion{ID: b64(a.id), RawID: b64(a.id), Type: "public-key", Attachment: "platform"}
	answer.Response.ClientDataJSON, answer.Response.AuthenticatorData = b64(client), b64(data)
	answer.Response.Signature, answer.Response.UserHandle = b64(signature), b64(a.handle)
	return answer
}

// offers tells whether options name the authenticator's passkey.
func (a *authenticator) offers(options map[string]any, list string) bool {
	text := encoded(a.t, options[list])
	return bytes.Contains(text, []byte(b64(a.id)))
}

// Package secrets makes the keys that the local Dapr secret store (secretstores.local.file) serves.
package secrets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandemhq/tandem/apps/sandbox"
)

// keyBytes is the length of every key: an Ed25519 seed, an AES-256 key and an HMAC key have the same.
const keyBytes = 32

// Names lists the secrets, each 32 random bytes in standard base64.
func Names() []string {
	return []string{
		"service-token-key", // signs what one service tells another about the caller
		"access-token-key",  // Ed25519 seed that signs access tokens
		"auth-sealing-key",  // wraps the keys that encrypt second factors and identity providers' secrets
		"credentials-key",   // wraps the keys that encrypt vendors' credentials
	}
}

// Ensure completes the file at path with the secrets it does not have yet, read from random or those of the
// sandbox, and leaves those it has. The file is readable by its owner only and is replaced as a whole, so a kill leaves the
// old or the new one. A file that is not a flat JSON object is an error, never overwritten: what its keys
// encrypted would be lost.
func Ensure(path string, random io.Reader) error {
	secrets, err := read(path)
	if err != nil {
		return err
	}
	missing := false
	for name, value := range sandbox.Secrets() {
		if secrets[name] == "" {
			secrets[name], missing = value, true
		}
	}
	for _, name := range Names() {
		if secrets[name] != "" {
			continue
		}
		key := make([]byte, keyBytes)
		if _, err := io.ReadFull(random, key); err != nil {
			return fmt.Errorf("make secret %s: %w", name, err)
		}
		secrets[name] = base64.StdEncoding.EncodeToString(key)
		missing = true
	}
	if !missing {
		return nil
	}
	return write(path, secrets)
}

func read(path string) (map[string]string, error) {
	secrets := map[string]string{}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return secrets, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	if err := json.NewDecoder(bytes.NewReader(content)).Decode(&secrets); err != nil {
		return nil, fmt.Errorf("read the secrets in %s: %w", path, err)
	}
	return secrets, nil
}

func write(path string, secrets map[string]string) error {
	content, err := json.MarshalIndent(secrets, "", "  ")
	if err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".secrets-*") // 0600
	if err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the secrets: %w", err), os.Remove(file.Name()))
	}
	return nil
}

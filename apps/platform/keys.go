package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/auth"
	"github.com/tandemhq/tandem/apps/auth/authapi"
	"github.com/tandemhq/tandem/apps/integrations"
	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/pkg/call"
	"github.com/tandemhq/tandem/pkg/secrets"
	"github.com/tandemhq/tandem/pkg/vault"
)

// formerKeys is how many former keys of access tokens stay; their tokens live 15 minutes.
const formerKeys = 2

const accessTokenKey = "access-token-key"

// sealingKeys are the keys that values at rest are encrypted with, by the secret's name, and how a running platform tells what
// is encrypted with former ones. Those stay until somebody removes them: without them, what is left could not be read.
var sealingKeys = map[string]func(context.Context, *call.Client) (vault.Sealing, error){
	integrations.KeySecret: func(ctx context.Context, c *call.Client) (vault.Sealing, error) {
		count, err := integrationsapi.Client{Client: c}.Sealing(ctx)
		if err != nil {
			return vault.Sealing{}, err
		}
		return *count, nil
	},
	auth.SealingKeySecret: func(ctx context.Context, c *call.Client) (vault.Sealing, error) {
		return authapi.Client{Client: c}.Sealing(ctx)
	},
}

const keysUsage = `say what to do:
  platform keys rotate [--key access-token-key|credentials-key|auth-sealing-key] [--file .tandem/secrets.json]
  platform keys status --key credentials-key|auth-sealing-key [--url http://localhost:8000] [--secrets .tandem/secrets.json]`

// sealingTimeout bounds the count of all that is encrypted.
const sealingTimeout = 5 * time.Minute

// keysCommand changes a key, or tells what keeps former ones from being removed.
func keysCommand(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(keysUsage)
	}
	switch arguments[0] {
	case "rotate":
		return rotateCommand(arguments[1:])
	case "status":
		return statusCommand(arguments[1:])
	}
	return errors.New(keysUsage)
}

// rotateCommand changes a key. In a file of secrets it is changed in place; for every other secret store the new values are
// printed, for whoever has the right to write them there.
func rotateCommand(arguments []string) error {
	flags := flag.NewFlagSet("platform keys rotate", flag.ContinueOnError)
	file := flags.String("file", localSecrets, "file of the local secret store; - reads {name: value} from standard input and prints what to store")
	key := flags.String("key", accessTokenKey, "which key: access-token-key, credentials-key or auth-sealing-key")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if *key != accessTokenKey && sealingKeys[*key] == nil || flags.NArg() > 0 {
		return errors.New(keysUsage)
	}
	if *file == standardInput {
		values, err := readSecrets(*file)
		if err == nil {
			err = rotate(values, *key)
		}
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]string{*key: values[*key], vault.FormerSecret(*key): values[vault.FormerSecret(*key)]})
	}
	if err := rotateFile(*file, *key); err != nil {
		return err
	}
	fmt.Println(*key, "has changed in", *file+". The local secret store reads its file when it starts: restart the run.")
	if *key == accessTokenKey {
		fmt.Println("Tokens of the former key are good until they expire; keep it for 15 minutes at least.")
	} else {
		fmt.Println("What the former key has encrypted is encrypted again within minutes; keep it in", vault.FormerSecret(*key), "until platform keys status --key", *key, "says that nothing is left.")
	}
	return nil
}

// restarted is an error while a running platform has another key than the file of its secrets: what it counts is by that key.
func restarted(ctx context.Context, file, key, running string) error {
	values, err := readSecrets(file)
	if err != nil || values[key] == "" {
		return err
	}
	stored, err := vault.New(secrets.Map(values), key, now).Current(ctx)
	if err == nil && stored != running {
		err = fmt.Errorf("the platform runs with key %s, and %s has %s: restart it, and ask again before a former key is removed", running, file, stored)
	}
	return err
}

// statusCommand tells how much a running platform has encrypted with former keys.
func statusCommand(arguments []string) error {
	flags := flag.NewFlagSet("platform keys status", flag.ContinueOnError)
	site := flags.String("url", "http://localhost:8000", "base URL of the platform")
	file := flags.String("secrets", localSecrets, "file of the local secret store; - reads {name: value} from standard input")
	key := flags.String("key", "", "which key: credentials-key or auth-sealing-key")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	count := sealingKeys[*key]
	if count == nil || flags.NArg() > 0 {
		return errors.New(keysUsage)
	}
	client, err := operator(*site, *file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), sealingTimeout)
	defer cancel()
	sealed, err := count(ctx, client)
	if err != nil {
		return fmt.Errorf("ask %s: %w", *site, err)
	}
	fmt.Printf("%s %s: %d values, %d of them encrypted with former keys, %d that no key opens.\n", *key, sealed.Key, sealed.Values, sealed.Left, sealed.Unreadable)
	if *file != standardInput { // which has been read to its end
		if err := restarted(ctx, *file, *key, sealed.Key); err != nil {
			return err
		}
	}
	if sealed.Unreadable > 0 {
		return fmt.Errorf("%d values cannot be read: put the key that they were encrypted with back into %s, and restart", sealed.Unreadable, vault.FormerSecret(*key))
	}
	if sealed.Left == 0 {
		fmt.Printf("An hour after the last change of the key, %s may be emptied.\n", vault.FormerSecret(*key))
	}
	return nil
}

const (
	// localSecrets is the file of the local secret store.
	localSecrets = ".tandem/secrets.json"
	// standardInput stands for the file in a command.
	standardInput = "-"
)

// readSecrets reads the secrets, by name, from a file or from standard input.
func readSecrets(path string) (values map[string]string, err error) {
	in := os.Stdin
	if path != standardInput {
		if in, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("read the secrets: %w", err)
		}
		defer in.Close()
	}
	if err := json.NewDecoder(in).Decode(&values); err != nil {
		return nil, fmt.Errorf("read the secrets in %s: %w", path, err)
	}
	return values, nil
}

// rotate makes a new key and puts the current one in front of the former ones.
func rotate(values map[string]string, key string) error {
	if values[key] == "" {
		return fmt.Errorf("there is no secret %s to change", key)
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	former := []string{values[key]}
	if before := values[vault.FormerSecret(key)]; before != "" {
		former = append(former, strings.Split(before, ",")...)
	}
	if key == accessTokenKey {
		former = former[:min(len(former), formerKeys)]
	}
	values[vault.FormerSecret(key)] = strings.Join(former, ",")
	values[key] = base64.StdEncoding.EncodeToString(fresh)
	return nil
}

// rotateFile replaces the file as a whole, so that a kill leaves the old or the new one.
func rotateFile(path, key string) error {
	values, err := readSecrets(path)
	if err != nil {
		return err
	}
	if err := rotate(values, key); err != nil {
		return err
	}
	content, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".secrets-*") // 0600
	if err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	_, err = next.Write(content)
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the secrets: %w", err), os.Remove(next.Name()))
	}
	return nil
}

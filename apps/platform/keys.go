package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// formerKeys is how many former keys of access tokens stay; their tokens live 15 minutes.
const formerKeys = 2

const (
	accessTokenKey  = "access-token-key"
	accessTokenKeys = "access-token-keys-previous"
)

// keysCommand changes the key of access tokens. In a file of secrets it is changed in place; for every other
// secret store the new values are printed, for whoever has the right to write them there.
func keysCommand(arguments []string) error {
	flags := flag.NewFlagSet("platform keys rotate", flag.ContinueOnError)
	file := flags.String("file", localSecrets, "file of the local secret store; - reads {name: value} from standard input and prints what to store")
	if len(arguments) == 0 || arguments[0] != "rotate" {
		return errors.New("say what to do: platform keys rotate [--file .tandem/secrets.json]")
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if *file == standardInput {
		values, err := readSecrets(*file)
		if err == nil {
			err = rotate(values)
		}
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]string{accessTokenKey: values[accessTokenKey], accessTokenKeys: values[accessTokenKeys]})
	}
	if err := rotateFile(*file); err != nil {
		return err
	}
	fmt.Println("The key of access tokens has changed in", *file+". The local secret store reads its file when it starts: restart the run.")
	fmt.Println("Tokens of the former key are good until they expire; keep it for 15 minutes at least.")
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
func rotate(values map[string]string) error {
	if values[accessTokenKey] == "" {
		return fmt.Errorf("there is no secret %s to change", accessTokenKey)
	}
	seed := make([]byte, 32)
	if _, err := rand.Read(seed); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	former := []string{values[accessTokenKey]}
	if before := values[accessTokenKeys]; before != "" {
		former = append(former, strings.Split(before, ",")...)
	}
	values[accessTokenKeys] = strings.Join(former[:min(len(former), formerKeys)], ",")
	values[accessTokenKey] = base64.StdEncoding.EncodeToString(seed)
	return nil
}

// rotateFile replaces the file as a whole, so that a kill leaves the old or the new one.
func rotateFile(path string) error {
	values, err := readSecrets(path)
	if err != nil {
		return err
	}
	if err := rotate(values); err != nil {
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

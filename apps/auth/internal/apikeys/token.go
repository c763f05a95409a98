package apikeys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"regexp"
	"strings"

	"github.com/tandemhq/tandem/pkg/identity"
)

const (
	secretBytes    = 32 // what makes a key unguessable
	secretDigits   = 43 // base62 digits that 256 bits take
	checksumDigits = 6  // base62 digits that 32 bits take
)

// token is a key as its user has it: "tdm_<id>_<secret>". The id names the key's document. The secret is 256 random bits as 43
// base62 digits, and 6 more that are the CRC-32 of all before them, padded with zeros. This is the form of GitHub's tokens
// ("Behind GitHub's new authentication token formats", 2021): the prefix tells a scanner whose key it has found, the checksum
// tells it, without asking anybody, a key from what only looks like one, and there is no character in it at which a double
// click stops. A scanner looks for
//
//	tdm_[0-9a-z]{1,32}_[0-9A-Za-z]{49}
//
// The checksum keeps mistyped keys from the database. It proves nothing: anybody can compute it.
type token struct{ id, secret string }

var (
	errToken = errors.New("not an API key")
	shape    = regexp.MustCompile(`^` + identity.APIKeyPrefix + `([0-9a-z]{1,32})_([0-9A-Za-z]{49})$`)
)

func parse(text string) (token, error) {
	match := shape.FindStringSubmatch(text)
	if match == nil {
		return token{}, errToken
	}
	t := token{match[1], match[2][:secretDigits]}
	if t.String() != text {
		return token{}, errToken
	}
	return t, nil
}

// newToken makes a key of the document id, which has nothing but digits and lower-case letters.
func newToken(id string, random io.Reader) (token, error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return token{}, fmt.Errorf("make the secret of an API key: %w", err)
	}
	return token{id, base62(new(big.Int).SetBytes(secret), secretDigits)}, nil
}

func (t token) String() string {
	text := identity.APIKeyPrefix + t.id + "_" + t.secret
	return text + base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(text)))), checksumDigits)
}

// digest is what is stored of t. The secret has 256 bits, so nobody finds it by trying, and a slow hash would only slow
// requests down.
func (t token) digest() []byte {
	sum := sha256.Sum256([]byte(t.secret))
	return sum[:]
}

func base62(n *big.Int, digits int) string {
	text := n.Text(62)
	return strings.Repeat("0", digits-len(text)) + text
}

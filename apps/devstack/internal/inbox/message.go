// Package inbox receives the mails and text messages of a laptop and shows them: an SMTP server whose mails
// nobody is sent, and an address that takes texts over HTTP. They are kept on disk, read by people on a page
// and by tests as JSON.
package inbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// maxDepth bounds multiparts within multiparts.
const maxDepth = 10

// Summary is what a list shows of a message.
type Summary struct {
	ID string `json:"id"`
	// ReceivedAt is when the server took the message, UTC.
	ReceivedAt time.Time `json:"received_at"`
	// From is the author of the message's header, or the envelope's sender.
	From string `json:"from"`
	// To are the envelope's recipients: whoever would have got it, blind copies included.
	To      []string `json:"to"`
	Subject string   `json:"subject"`
}

// Message is a message as a reader sees it.
type Message struct {
	Summary
	// Text is the plain text, empty if the message has none.
	Text string `json:"text"`
	// HTML is the message's HTML, as it was sent.
	HTML        string              `json:"html"`
	Headers     map[string][]string `json:"headers"`
	Attachments []Attachment        `json:"attachments"`
}

// Attachment describes a file in a message.
type Attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	// Size is the decoded length in bytes.
	Size int `json:"size"`
}

// words decodes headers such as =?utf-8?q?caf=C3=A9?= in every charset of the WHATWG index.
var words = mime.WordDecoder{CharsetReader: charsetReader}

// parse reads a message as it came over the wire. A message whose body cannot be decoded is no error: it
// shows as the text it is.
func parse(raw []byte) (Message, error) {
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return Message{}, fmt.Errorf("read the message's headers: %w", err)
	}
	m := Message{Headers: map[string][]string{}, Attachments: []Attachment{}}
	for name, values := range parsed.Header {
		for _, value := range values {
			m.Headers[name] = append(m.Headers[name], decodeWords(value))
		}
	}
	m.From = decodeWords(parsed.Header.Get("From"))
	m.Subject = decodeWords(parsed.Header.Get("Subject"))
	m.addPart(textproto.MIMEHeader(parsed.Header), parsed.Body, 0)
	return m, nil
}

// addPart takes the first text, the first HTML, and lists the rest as attachments.
func (m *Message) addPart(header textproto.MIMEHeader, body io.Reader, depth int) {
	mediaType, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		mediaType, parameters = "text/plain", map[string]string{}
	}
	if boundary := parameters["boundary"]; strings.HasPrefix(mediaType, "multipart/") && boundary != "" && depth < maxDepth {
		for reader := multipart.NewReader(body, boundary); ; {
			part, err := reader.NextRawPart()
			if err != nil { // the end, or a message cut short: what came before it is shown
				return
			}
			m.addPart(part.Header, part, depth+1)
		}
	}
	content := decodeTransfer(header.Get("Content-Transfer-Encoding"), body)
	disposition, dispositionParameters, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	switch {
	case disposition != "attachment" && mediaType == "text/plain" && m.Text == "":
		m.Text = decodeCharset(parameters["charset"], content)
	case disposition != "attachment" && mediaType == "text/html" && m.HTML == "":
		m.HTML = decodeCharset(parameters["charset"], content)
	default:
		name := dispositionParameters["filename"]
		if name == "" {
			name = parameters["name"]
		}
		m.Attachments = append(m.Attachments, Attachment{Filename: decodeWords(name), ContentType: mediaType, Size: len(content)})
	}
}

// decodeTransfer undoes the transfer encoding and keeps what could be decoded.
func decodeTransfer(encoding string, body io.Reader) []byte {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	var decoded bytes.Buffer
	_, _ = decoded.ReadFrom(body) // an error ends the text where the damage is
	return decoded.Bytes()
}

func decodeCharset(charset string, content []byte) string {
	if reader, err := charsetReader(charset, bytes.NewReader(content)); err == nil {
		if decoded, err := io.ReadAll(reader); err == nil {
			content = decoded
		}
	}
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}

func charsetReader(charset string, input io.Reader) (io.Reader, error) {
	if charset == "" {
		return input, nil
	}
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return nil, fmt.Errorf("charset %q: %w", charset, err)
	}
	return encoding.NewDecoder().Reader(input), nil
}

func decodeWords(value string) string {
	if decoded, err := words.DecodeHeader(value); err == nil {
		return decoded
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}

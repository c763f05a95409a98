package googleads

import (
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// hash is a number that follows from a text.
func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// refuse answers with a google.rpc.Status.
func refuse(status int, code, message string, details ...any) vendor.Answer {
	said := map[string]any{"code": status, "message": message, "status": code}
	if len(details) > 0 {
		said["details"] = details
	}
	return vendor.Answer{Status: status, Body: map[string]any{"error": said}}
}

func invalid(message string) vendor.Answer {
	return refuse(http.StatusBadRequest, "INVALID_ARGUMENT", message)
}

// failure answers with a GoogleAdsFailure of one error.
func failure(status int, code, kind, name, message string, details any) vendor.Answer {
	e := map[string]any{"errorCode": map[string]string{kind: name}, "message": message}
	if details != nil {
		e["details"] = details
	}
	general := "Request contains an invalid argument."
	switch status {
	case http.StatusUnauthorized:
		general = "Request is missing required authentication credential."
	case http.StatusForbidden:
		general = "The caller does not have permission"
	case http.StatusTooManyRequests:
		general = "Resource has been exhausted (e.g. check quota)."
	}
	return refuse(status, code, general, map[string]any{
		"@type":  "type.googleapis.com/google.ads.googleads." + version + ".errors.GoogleAdsFailure",
		"errors": []any{e}, "requestId": "simulated",
	})
}

func unauthenticated() vendor.Answer {
	return refuse(http.StatusUnauthorized, "UNAUTHENTICATED",
		"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
}

// exhausted refuses a request that comes too early.
func exhausted(status int, wait time.Duration) vendor.Answer {
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	return failure(status, "RESOURCE_EXHAUSTED", "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", "Too many requests. Retry in "+wait.String()+".",
		map[string]any{"quotaErrorDetails": map[string]string{
			"rateScope": "DEVELOPER", "rateName": "Requests per service per method", "retryDelay": strconv.FormatFloat(wait.Seconds(), 'f', -1, 64) + "s",
		}})
}

package googleads

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// pause is the wait after a refusal that does not say how long it is to be.
const pause = 5 * time.Second

// status is how the API says what went wrong: google.rpc.Status, with a GoogleAdsFailure among its details.
type status struct {
	Error struct {
		Details []detail `json:"details"`
	} `json:"error"`
}

type detail struct {
	Errors []problem `json:"errors"`
}

type problem struct {
	// ErrorCode has one field, the kind of error, such as "quotaError", with the error itself.
	ErrorCode map[string]string `json:"errorCode"`
	Message   string            `json:"message"`
	Details   struct {
		QuotaErrorDetails struct {
			// RetryDelay is a number of seconds, with an s behind it.
			RetryDelay string `json:"retryDelay"`
		} `json:"quotaErrorDetails"`
	} `json:"details"`
}

// details are those of a google.rpc.Status, none where there is none.
func details(body []byte) []detail {
	var said status
	if json.Unmarshal(body, &said) == nil {
		return said.Error.Details
	}
	return nil
}

// explain is a connector.Explain: the first error that the API's own words tell more of than the status does.
func explain(_ int, _ http.Header, body []byte) *connector.Error {
	for _, detail := range details(body) {
		for _, p := range detail.Errors {
			for kind, code := range p.ErrorCode {
				if e := p.meaning(kind, code); e != nil {
					e.Cause = fmt.Errorf("%.40q %.80q: %.200q", kind, code, p.Message)
					return e
				}
			}
		}
	}
	return nil
}

// Errors in shared terms.
func throttled(wait time.Duration) *connector.Error {
	if wait == 0 {
		wait = pause
	}
	return &connector.Error{Class: connector.Throttled, Code: connector.CodeThrottled, Message: "Google Ads asks to wait", Wait: wait}
}

func permanent(code, message string) *connector.Error {
	return &connector.Error{Class: connector.Permanent, Code: code, Message: message}
}

// meaning is nil where the status says as much.
func (p problem) meaning(kind, code string) *connector.Error {
	switch kind {
	case "quotaError":
		switch code {
		case "RESOURCE_EXHAUSTED", "RESOURCE_TEMPORARILY_EXHAUSTED",
			"EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION", "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION":
			return throttled(p.delay())
		}
	case "authenticationError":
		switch code {
		case "NOT_ADS_USER", "CUSTOMER_NOT_FOUND":
			return permanent(connector.CodeAccountUnavailable, "the Google account has no such Google Ads account")
		case "DEVELOPER_TOKEN_INVALID", "ORGANIZATION_NOT_RECOGNIZED", "ORGANIZATION_NOT_APPROVED", "ORGANIZATION_NOT_ASSOCIATED_WITH_DEVELOPER_TOKEN":
			return platformRefused()
		case "CLIENT_CUSTOMER_ID_INVALID":
			return permanent(connector.CodeRefused, "Google Ads refuses the request")
		}
		return &connector.Error{Class: connector.Unauthorized, Code: connector.CodeCredentialsRefused, Message: "Google does not accept the authorization any more"}
	case "authorizationError":
		switch code {
		case "CUSTOMER_NOT_ENABLED", "INCOMPLETE_SIGNUP", "ACCESS_DENIED_FOR_ACCOUNT_TYPE", "ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT":
			return permanent(connector.CodeAccountUnavailable, "the Google Ads account is not open")
		case "DEVELOPER_TOKEN_NOT_ON_ALLOWLIST", "DEVELOPER_TOKEN_PROHIBITED", "DEVELOPER_TOKEN_NOT_APPROVED", "PROJECT_DISABLED", "MISSING_TOS",
			"CLOUD_PROJECT_NOT_UNDER_ORGANIZATION", "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION":
			return platformRefused()
		}
		return permanent(connector.CodePermissionMissing, "the person who authorized us may not read this Google Ads account")
	case "requestError":
		if code == "DEVELOPER_TOKEN_PARAMETER_MISSING" {
			return platformRefused()
		}
	case "internalError":
		if code != "ERROR_CODE_NOT_PUBLISHED" {
			return &connector.Error{Class: connector.Transient, Code: connector.CodeUnavailable, Message: "Google Ads has trouble"}
		}
	}
	return nil
}

func platformRefused() *connector.Error {
	return permanent(connector.CodeRefused, "Google Ads does not accept this platform's developer token or project")
}

// delay is 0 when it is not said.
func (p problem) delay() time.Duration {
	seconds, ok := strings.CutSuffix(p.Details.QuotaErrorDetails.RetryDelay, "s")
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return 0
	}
	return connector.Seconds(d.Seconds())
}

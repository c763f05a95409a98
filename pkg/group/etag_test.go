package group_test

import (
	"testing"

	"github.com/tandemhq/tandem/pkg/group"
	"github.com/tandemhq/tandem/pkg/problem"
)

func TestIfMatch(t *testing.T) {
	if etag := group.AtVersion(&struct{}{}, 3).ETag; etag != `"3"` {
		t.Errorf("ETag %s", etag)
	}
	for text, code := range map[string]string{
		"": "", "*": "", `"3"`: "", ` "3" `: "",
		`"2"`: problem.CodePrecondition, `"4"`: problem.CodePrecondition, `"0"`: problem.CodePrecondition,
		`3`: problem.CodeBadRequest, `"x"`: problem.CodeBadRequest, `"-1"`: problem.CodeBadRequest, `W/"3"`: problem.CodeBadRequest, `"3", "4"`: problem.CodeBadRequest,
	} {
		if err := (group.IfMatch{IfMatch: text}).Check(3); (err == nil) != (code == "") || err != nil && problem.Code(err) != code {
			t.Errorf("If-Match: %s over version 3: %v, want %q", text, err, code)
		}
	}
}

package mfa

import (
	"testing"
	"time"
)

// The vectors of RFC 6238, appendix B, for SHA-1. They have eight digits; the last six are ours.
func TestVectorsOfRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		step, found, err := totpStepOf(secret, want[2:], time.Unix(at, 0))
		if err != nil || !found || step != at/30 {
			t.Errorf("at %d s: step %d, %t, %v; want %d", at, step, found, err, at/30)
		}
	}
}

func TestClocksMayDifferByAStep(t *testing.T) {
	secret, at := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	for late, want := range map[time.Duration]bool{
		-2 * totpStep: false, -totpStep: true, 0: true, totpStep: true, 2 * totpStep: false,
	} {
		step, found, err := totpStepOf(secret, "050471", at.Add(late))
		if err != nil || found != want || found && step != 1111111111/30 {
			t.Errorf("%v late: step %d, %t, %v; want %t", late, step, found, err, want)
		}
	}
	for _, code := range []string{"", "50471", "0050471", "050471 ", "05o471", "07081804"} {
		if _, found, err := totpStepOf(secret, code, at); err != nil || found {
			t.Errorf("%q: %t, %v", code, found, err)
		}
	}
}

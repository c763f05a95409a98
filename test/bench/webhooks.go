package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandemhq/tandem/test/measure"
	"github.com/tandemhq/tandem/test/scenario"
	"github.com/tandemhq/tandem/test/system"
)

const (
	hookClients = 32
	hooksEach   = 500
)

// webhooks measures how many webhooks of an order a monolith takes while it processes them, each kept before it is answered.
func (b *bench) webhooks(ctx context.Context, s *system.System) ([]figure, error) {
	progress("Send webhooks, %d clients.", hookClients)
	vars := map[string]string{"shop": "hooked"}
	if err := play(ctx, s.Site, vars, append(scenario.Register(vars, "hooks"), scenario.Connect()...)...); err != nil {
		return nil, err
	}
	secret, err := s.Secret("shopify-client-secret")
	if err != nil {
		return nil, err
	}
	body := `{"id":820982911946154508,"name":"#1001","total_price":"42.00","currency":"USD","note":"` + strings.Repeat("as long as a small order is; ", 70) + `"}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	transport := &http.Transport{MaxIdleConnsPerHost: hookClients}
	defer transport.CloseIdleConnections()
	site := scenario.Site{API: s.API, HTTP: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	var sent atomic.Int64
	send := func(ctx context.Context) error {
		step := scenario.Step{Method: http.MethodPost, Path: "/api/integrations/webhooks/shopify", Want: http.StatusOK, Body: body, Header: map[string]string{
			"X-Shopify-Topic": "orders/updated", "X-Shopify-Shop-Domain": "hooked.myshopify.com", "X-Shopify-Hmac-Sha256": signature,
			"X-Shopify-Webhook-Id": strconv.FormatInt(sent.Add(1), 10),
		}}
		_, _, err := step.Do(ctx, site, nil)
		return err
	}
	if _, err := measure.AtOnce(ctx, hookClients, 0, 20, send); err != nil {
		return nil, fmt.Errorf("send webhooks: %w", err)
	}
	began := time.Now()
	samples, err := measure.AtOnce(ctx, hookClients, 0, hooksEach, send)
	if err != nil {
		return nil, fmt.Errorf("send webhooks: %w", err)
	}
	ended := time.Now()
	rate := float64(len(samples)) / ended.Sub(began).Seconds()
	last, err := b.allProcessed(ctx, s, vars, int(sent.Load()))
	if err != nil {
		return nil, err
	}
	const limit, least = 50 * time.Millisecond, 1000
	p99 := samples.Percentile(99)
	return []figure{
		{
			"webhooks", "webhooks accepted a second, monolith, 32 clients, each kept before the answer", "≥ 1,000", fmt.Sprintf("%.0f", rate),
			fmt.Sprintf("%d of 2 kB, signed, while they are processed; all %d sent, with those before, are there once each, the last processed %s after it came",
				len(samples), sent.Load(), measure.Duration(max(0, last.Sub(ended)))), rate < least,
		},
		atMost("webhooks", "p99 of those", limit, p99, "p50 "+measure.Duration(samples.Median())),
	}, nil
}

// allProcessed waits until every webhook that was sent is there, once, and processed. It tells when the last of them was.
func (b *bench) allProcessed(ctx context.Context, s *system.System, vars map[string]string, sent int) (last time.Time, err error) {
	progress("Look for each of %d webhooks.", sent)
	step := scenario.Step{Method: http.MethodGet, Path: "/api/integrations/webhooks/deliveries?limit=200", Want: http.StatusOK, Within: syncTime, Then: func(ctx context.Context, body []byte, vars map[string]string) error {
		there := map[string]bool{}
		for {
			var page struct {
				Items []struct {
					VendorID    string `json:"vendor_id"`
					Status      string
					ProcessedAt time.Time `json:"processed_at"`
				}
				Next string `json:"next_cursor"`
			}
			if err := json.Unmarshal(body, &page); err != nil {
				return err
			}
			for _, one := range page.Items {
				if one.Status != "processed" || there[one.VendorID] {
					return fmt.Errorf("%s is %s, and is there before: %t", one.VendorID, one.Status, there[one.VendorID])
				}
				there[one.VendorID] = true
				if one.ProcessedAt.After(last) {
					last = one.ProcessedAt
				}
			}
			if page.Next == "" {
				break
			}
			var err error
			if _, body, err = (scenario.Step{Method: http.MethodGet, Path: "/api/integrations/webhooks/deliveries?limit=200&cursor=" + url.QueryEscape(page.Next), Want: http.StatusOK}).Do(ctx, s.Site, vars); err != nil {
				return err
			}
		}
		for n := 1; n <= sent; n++ {
			if !there[strconv.Itoa(n)] {
				return fmt.Errorf("%d of %d are there, and not %d", len(there), sent, n)
			}
		}
		return nil
	}}
	return last, play(ctx, s.Site, vars, step)
}

package sync

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
)

// counts are the series of syncs, by vendor and stream.
type counts struct {
	records, changed, quarantined, pages, failures, pauses *prometheus.CounterVec
}

func newCounts(registry prometheus.Registerer) (counts, error) {
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"vendor", "stream"}, more...))
	}
	c := counts{
		records:     counter("tandem_sync_records_total", "Records read from vendors, repeats included."),
		changed:     counter("tandem_sync_changed_records_total", "Records read from vendors that were new or different."),
		quarantined: counter("tandem_sync_quarantined_records_total", "Records read from vendors that did not validate."),
		pages:       counter("tandem_sync_pages_total", "Pages read from vendors and kept."),
		failures:    counter("tandem_sync_failures_total", "Pages that vendors did not give, by class: throttled, transient, too_large, unauthorized, permanent.", "class"),
		pauses:      counter("tandem_sync_pause_seconds_total", "Seconds for which vendors wanted to be left alone."),
	}
	if registry != nil {
		for _, series := range []*prometheus.CounterVec{c.records, c.changed, c.quarantined, c.pages, c.failures, c.pauses} {
			if err := registry.Register(series); err != nil {
				return c, fmt.Errorf("register the metrics of syncs: %w", err)
			}
		}
	}
	return c, nil
}

// kept counts a page that was kept.
func (c counts) kept(vendor, stream string, page connector.Page, changed int) {
	c.pages.WithLabelValues(vendor, stream).Inc()
	c.records.WithLabelValues(vendor, stream).Add(float64(page.Records.Len()))
	c.changed.WithLabelValues(vendor, stream).Add(float64(changed))
	c.pauses.WithLabelValues(vendor, stream).Add(page.Wait.Seconds())
	c.quarantined.WithLabelValues(vendor, stream).Add(float64(len(page.Bad)))
}

// failed counts a page that the vendor did not give.
func (c counts) failed(vendor, stream string, e *connector.Error) {
	c.failures.WithLabelValues(vendor, stream, string(e.Class)).Inc()
	c.pauses.WithLabelValues(vendor, stream).Add(e.Wait.Seconds())
}

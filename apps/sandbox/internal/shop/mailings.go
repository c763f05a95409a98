package shop

import (
	"fmt"
	"math"
	"time"
)

// Mailing is one that the shop sends to whoever subscribed to its mail or messages, once a week. It does not cause orders that would
// not be there without it; its conversions are the mailing platform's own claim.
type Mailing struct {
	// ID follows from the week, so that it is the same in every window.
	ID      int64
	Name    string
	Text    bool // a message to a phone rather than mail
	SentAt  time.Time
	Planned time.Time // when it was made
}

// MailingDay is what came of a mailing on one of its days.
type MailingDay struct {
	// Sent were tried; Bounced of them did not arrive.
	Sent, Bounced int64
	// Opens, Clicks and Unsubscribes count people.
	Opens, Clicks, Unsubscribes int64
	Orders                      int64
	Value                       Amount // of the orders
}

// MailingDays is how many days, with that of the sending, people react to a mailing.
const MailingDays = 10

// What comes of a mailing. Of those who react, mailingFirstDay do so on the day of the sending, of the rest as many the next day, and
// so on.
const (
	mailingFirstDay  = 0.6
	mailingOpenRate  = 0.42
	mailingClickRate = 0.035
	mailingLeaveRate = 0.002
	mailingOrderRate = 0.11 // of the clicks
)

// Mailings are the shop's that were sent since From and before a time, oldest first.
func (p Parameters) Mailings(before time.Time) []Mailing {
	var list []Mailing
	for week := p.From.Unix() / (7 * 86400); ; week++ {
		monday := time.Unix(week*7*86400, 0).UTC().AddDate(0, 0, 4) // the epoch began on a Thursday
		rng := p.stream("mailing", week, 0)
		at := monday.AddDate(0, 0, rng.IntN(5)).Add(time.Duration(14*60+rng.IntN(5*60)) * time.Minute)
		if !at.Before(before) {
			return list
		}
		if at.Before(p.From) {
			continue
		}
		kinds := []string{"New in the shop", "Weekend offer", "Stories from the workshop", "Last days"}
		kind := week % int64(len(kinds))
		list = append(list, Mailing{
			ID: week, Name: fmt.Sprintf("%s, %s", kinds[kind], at.Format("2 January 2006")), Text: kind == 3, SentAt: at,
			Planned: at.Add(-time.Duration(24+rng.IntN(72)) * time.Hour),
		})
	}
}

// MailingDay is what came of a mailing n days after its sending: nothing from MailingDays on.
func (p Parameters) MailingDay(m Mailing, n int) MailingDay {
	if n < 0 || n >= MailingDays {
		return MailingDay{}
	}
	years := m.SentAt.Sub(time.Unix(growthEpoch, 0)).Hours() / 24 / 365.25
	list := 2400 * math.Pow(1+p.Growth, max(-8, min(8, years)))
	if m.Text {
		list *= 0.3
	}
	size := p.stream("mailing-size", m.ID, 0)
	sent := math.Round(list * (0.85 + 0.3*size.Float64()))
	rng := p.stream("mailing-day", m.ID, n)
	some := func(mean float64) int64 { return int64(poisson(rng, min(mean, 500))) }
	share := mailingFirstDay * math.Pow(1-mailingFirstDay, float64(n))
	var d MailingDay
	if n == 0 {
		d.Sent = int64(sent)
		d.Bounced = min(d.Sent, some(sent*0.006))
	}
	if !m.Text { // nobody sees when a message is read
		d.Opens = int64(math.Round(sent * mailingOpenRate * share * math.Exp(0.1*rng.NormFloat64())))
	}
	d.Clicks = some(sent * mailingClickRate * share)
	d.Unsubscribes = some(sent * mailingLeaveRate * share)
	d.Orders = min(d.Clicks, some(float64(d.Clicks)*mailingOrderRate))
	d.Value = cents(float64(d.Orders) * (40 + 30*rng.Float64()) * amountScale)
	return d
}

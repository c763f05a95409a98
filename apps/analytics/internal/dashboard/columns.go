package dashboard

import (
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/tandemhq/tandem/pkg/store"
)

// block is one UTC day's roll-up in memory. It never changes.
type block struct {
	day      utcDay
	second   []uint32 // of the UTC day, ascending
	customer []uint32 // 0 is nobody
	currency []uint32
	orders   []uint32
	minor    []int64
	whole    []daySum // of the whole day, one for each currency
}

// daySum is what a day's orders in one currency come to.
type daySum struct {
	currency      uint32
	orders, minor int64
}

// columns is all of an organization's roll-ups at one version. It never changes; versions share their blocks.
type columns struct {
	state      store.Doc[state]
	blocks     []*block // ascending by day
	customers  int      // numbers are less than this
	currencies []string // by number
	rows       int
}

// names numbers an organization's customers and currencies. A number is kept for good, so that old blocks stay valid.
type names struct {
	customers, currencies index
}

func newNames() *names {
	n := &names{index{new([]string), map[string]uint32{}}, index{new([]string), map[string]uint32{}}}
	n.customers.of("")
	return n
}

// block checks and interns a stored roll-up.
func (n *names) block(r dayRollUp) (*block, error) {
	day, err := parseDay(r.Day)
	if err != nil {
		return nil, err
	}
	rows := len(r.Second)
	b := &block{
		day: day, second: r.Second, orders: r.Orders, minor: r.Minor,
		customer: make([]uint32, len(r.Customer)), currency: make([]uint32, len(r.Currency)),
	}
	sound := len(b.orders) == rows && len(b.minor) == rows && len(b.customer) == rows && len(b.currency) == rows && slices.IsSorted(b.second)
	for i := 0; sound && i < rows; i++ {
		customer, currency := int(r.Customer[i]), int(r.Currency[i])
		if sound = customer < len(r.Customers) && currency < len(r.Currencies); sound {
			b.customer[i] = n.customers.of(r.Customers[customer])
			b.currency[i] = n.currencies.of(r.Currencies[currency])
		}
	}
	if !sound {
		return nil, fmt.Errorf("roll-up of %s: its columns do not fit each other", r.Day)
	}
	b.sumUp()
	return b, nil
}

// sumUp makes the sums of the whole day.
func (b *block) sumUp() {
	for row, currency := range b.currency {
		at := slices.IndexFunc(b.whole, func(s daySum) bool { return s.currency == currency })
		if at < 0 {
			at = len(b.whole)
			b.whole = append(b.whole, daySum{currency: currency})
		}
		b.whole[at].orders += int64(b.orders[row])
		b.whole[at].minor += b.minor[row]
	}
}

// hasOnly tells whether all orders of the day count when only those of one currency do, or all with anyCurrency.
func (b *block) hasOnly(currency int) bool {
	return currency == anyCurrency || len(b.whole) == 1 && b.whole[0].currency == uint32(currency)
}

// with is the columns with some blocks in place of those of the same days.
func (c *columns) with(st store.Doc[state], changed []*block, n *names) *columns {
	replaced := make(map[utcDay]bool, len(changed))
	next := &columns{state: st, customers: len(*n.customers.names), currencies: slices.Clone(*n.currencies.names)}
	for _, b := range changed {
		if !replaced[b.day] && len(b.second) > 0 {
			next.blocks = append(next.blocks, b)
		}
		replaced[b.day] = true
	}
	for _, b := range c.blocks {
		if !replaced[b.day] {
			next.blocks = append(next.blocks, b)
		}
	}
	slices.SortFunc(next.blocks, func(a, b *block) int { return int(a.day - b.day) })
	for _, b := range next.blocks {
		next.rows += len(b.second)
	}
	return next
}

// sums are the additive figures of a stretch of time, and how many customers ordered in it.
type sums struct {
	orders    int64
	customers int64
	minor     []int64 // by number of currency
	in        []int64 // orders by number of currency
}

func (s *sums) add(currency uint32, orders, minor int64) {
	s.orders += orders
	s.in[currency] += orders
	s.minor[currency] += minor
}

const anyCurrency = -1

// marks are reused between queries: an entry for each customer.
var marks = sync.Pool{New: func() any { return new([]uint32) }}

// between sums up by stretches of time and over all of them. Edges, in Unix seconds, ascend; stretch i begins with edges[i]
// and ends before edges[i+1]. Only orders of one currency count, or of all with anyCurrency.
func (c *columns) between(edges []int64, currency int) (series []sums, total sums) {
	stretches := len(edges) - 1
	series = make([]sums, stretches)
	figures := make([]int64, 2*len(c.currencies)*(stretches+1))
	cut := func() (part []int64) {
		part, figures = figures[:len(c.currencies):len(c.currencies)], figures[len(c.currencies):]
		return part
	}
	for i := range series {
		series[i].minor, series[i].in = cut(), cut()
	}
	total.minor, total.in = cut(), cut()

	pooled := marks.Get().(*[]uint32)
	defer marks.Put(pooled)
	*pooled = slices.Grow((*pooled)[:0], c.customers)[:c.customers]
	seen := *pooled // 1 + the last stretch in which the customer ordered
	clear(seen)

	first, end := edges[0], edges[stretches]
	at := sort.Search(len(c.blocks), func(i int) bool { return (int64(c.blocks[i].day)+1)*secondsADay > first })
	i := 0
	for _, b := range c.blocks[at:] {
		midnight := int64(b.day) * secondsADay
		if midnight >= end {
			break
		}
		for midnight >= edges[i+1] {
			i++
		}
		if edges[i] <= midnight && midnight+secondsADay <= edges[i+1] && b.hasOnly(currency) {
			s := &series[i]
			for _, of := range b.whole {
				s.add(of.currency, of.orders, of.minor)
			}
			s.customers += newIn(seen, b.customer, uint32(i+1))
			continue
		}
		for row, second := range b.second {
			t := midnight + int64(second)
			if t < first {
				continue
			}
			if t >= end {
				break
			}
			in := b.currency[row]
			if currency != anyCurrency && in != uint32(currency) {
				continue
			}
			for t >= edges[i+1] {
				i++
			}
			s := &series[i]
			s.add(in, int64(b.orders[row]), b.minor[row])
			s.customers += newIn(seen, b.customer[row:row+1], uint32(i+1))
		}
	}
	for _, stretch := range seen {
		if stretch > 0 {
			total.customers++
		}
	}
	for i := range series {
		total.orders += series[i].orders
		for n := range c.currencies {
			total.minor[n] += series[i].minor[n]
			total.in[n] += series[i].in[n]
		}
	}
	return series, total
}

// newIn counts the customers that are not known yet to have ordered in a stretch, and notes them. Nobody is not counted.
func newIn(seen, customers []uint32, stretch uint32) (count int64) {
	for _, customer := range customers {
		if customer == 0 {
			continue
		}
		var one int64 // rather than a branch, which no processor could predict
		if seen[customer] != stretch {
			one = 1
		}
		count += one
		seen[customer] = stretch
	}
	return count
}

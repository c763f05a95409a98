package shopify

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandemhq/tandem/apps/sandbox/internal/shop"
	"github.com/tandemhq/tandem/apps/sandbox/internal/vendor"
)

// admin serves an admin endpoint of a shop.
func (s *Server) admin(handle vendor.Handler[*account]) http.HandlerFunc {
	return vendor.Admin(s.named, handle)
}

// named is the shop that a path names.
func (s *Server) named(r *http.Request) (*account, bool) { return s.account(r.PathValue("shop")) }

func (s *Server) putLimits(a *account, r *http.Request) (int, any, error) {
	var l Limits
	if err := vendor.Decode(r, &l); err != nil {
		return 0, nil, err
	}
	if err := l.Validate(); err != nil {
		return 0, nil, err
	}
	a.limit(l, s.config.Now())
	return http.StatusOK, l, nil
}

func (s *Server) getLimits(a *account, _ *http.Request) (int, any, error) {
	return http.StatusOK, a.limits(s.config.Now()), nil
}

func (s *Server) deleteLimits(a *account, _ *http.Request) (int, any, error) {
	a.limit(s.config.Limits, s.config.Now())
	return http.StatusNoContent, nil, nil
}

// orderInput adds an order, or changes the one whose id it names: only what it
// holds, and the time of the update. Times are kept to the second.
type orderInput struct {
	ID          *int64     `json:"id"`
	CustomerID  *int64     `json:"customer_id"`
	CreatedAt   *time.Time `json:"created_at"`
	UpdatedAt   *time.Time `json:"updated_at"`
	CancelledAt *time.Time `json:"cancelled_at"`
	Total       *string    `json:"total"`
	Refunded    *string    `json:"refunded"`
	Items       *int       `json:"items"`
	Status      *string    `json:"financial_status"`
	Test        *bool      `json:"test"`
}

type orderView struct {
	ID         int64     `json:"id"`
	GID        string    `json:"gid"`
	Name       string    `json:"name"`
	CustomerID int64     `json:"customer_id"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Total      string    `json:"total"`
	Currency   string    `json:"currency"`
	Items      int       `json:"items"`
	Status     string    `json:"financial_status"`
}

func (s *Server) postOrders(a *account, r *http.Request) (int, any, error) {
	var body struct {
		Orders []orderInput `json:"orders"`
	}
	if err := vendor.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	if len(body.Orders) == 0 {
		return 0, nil, errors.New("orders must not be empty")
	}
	statuses := s.schema.Types["OrderDisplayFinancialStatus"].EnumValues
	for _, in := range body.Orders {
		if in.Status != nil && statuses.ForName(*in.Status) == nil {
			return 0, nil, fmt.Errorf("financial_status %q is unknown", *in.Status)
		}
	}
	known := map[int64]bool{}
	for _, in := range body.Orders {
		if in.ID != nil {
			_, known[*in.ID] = a.current().orders[*in.ID]
		}
	}
	changed, err := a.change(body.Orders, wholeSecond(s.config.Now()))
	if err != nil {
		return 0, nil, err
	}
	s.tellOrders(a, changed, known)
	views := make([]orderView, len(changed))
	for i, o := range changed {
		views[i] = orderView{
			ID: o.ID, GID: gid("Order", o.ID), Name: o.Name, CustomerID: o.CustomerID, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
			Total: o.Total.String(), Currency: o.Currency, Items: o.Items, Status: o.Status,
		}
	}
	return http.StatusCreated, map[string]any{"orders": views}, nil
}

func wholeSecond(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }

// change applies all of the inputs or none.
func (a *account) change(inputs []orderInput, now time.Time) ([]*shop.Order, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	data := a.catalog.data
	next := int64(1)
	if n := len(data.Orders); n > 0 {
		next = data.Orders[n-1].ID + 1
	}
	var order []int64
	changed := map[int64]*shop.Order{}
	for i, in := range inputs {
		isNew := true
		o := &shop.Order{ID: next, CreatedAt: now, Status: shop.Paid, Currency: data.Currency, Items: 1}
		if in.ID != nil {
			o.ID = *in.ID
			if before, again := changed[o.ID]; again {
				*o, isNew = *before, false
			} else if before, exists := a.catalog.orders[o.ID]; exists {
				*o, isNew = *before.Order, false
			}
		}
		o.Name, o.UpdatedAt = fmt.Sprintf("#%d", o.ID), now
		if err := in.apply(o, isNew); err != nil {
			return nil, fmt.Errorf("orders[%d]: %w", i, err)
		}
		if changed[o.ID] == nil {
			order = append(order, o.ID)
		}
		changed[o.ID] = o
		next = max(next, o.ID+1)
	}
	list := make([]*shop.Order, len(order))
	for i, id := range order {
		list[i] = changed[id]
	}
	a.catalog = newCatalog(data.With(list))
	return list, nil
}

func (in orderInput) apply(o *shop.Order, isNew bool) error {
	if o.ID <= 0 {
		return fmt.Errorf("id %d is not positive", o.ID)
	}
	for _, t := range []struct{ from, to *time.Time }{{in.CreatedAt, &o.CreatedAt}, {in.UpdatedAt, &o.UpdatedAt}, {in.CancelledAt, &o.CancelledAt}} {
		if t.from != nil {
			*t.to = wholeSecond(*t.from)
		}
	}
	if in.CustomerID != nil {
		if o.CustomerID = *in.CustomerID; o.CustomerID < 0 {
			return fmt.Errorf("customer_id %d is negative", o.CustomerID)
		}
	}
	if in.Items != nil {
		if o.Items = *in.Items; o.Items < 0 {
			return fmt.Errorf("items %d is negative", o.Items)
		}
	}
	if in.Total == nil && isNew {
		return errors.New("a new order needs a total")
	}
	if in.Total != nil {
		total, err := shop.ParseAmount(*in.Total)
		if err != nil || total < 0 {
			return fmt.Errorf("total %q is not an amount", *in.Total)
		}
		if o.Total = total; total < o.Shipping+o.Tax {
			o.Shipping, o.Tax = 0, 0
		}
		o.Subtotal = total - o.Shipping - o.Tax
	}
	if in.Refunded != nil {
		refunded, err := shop.ParseAmount(*in.Refunded)
		if err != nil || refunded < 0 || refunded > o.Total {
			return fmt.Errorf("refunded %q is not an amount up to the total", *in.Refunded)
		}
		o.Refunded = refunded
	}
	if in.Status != nil {
		o.Status = *in.Status
	}
	if in.Test != nil {
		o.Test = *in.Test
	}
	return nil
}

// productInput adds a product, or changes the one whose id it names.
type productInput struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	Price string `json:"price"`
}

func (s *Server) postProducts(a *account, r *http.Request) (int, any, error) {
	var body struct {
		Products []productInput `json:"products"`
	}
	if err := vendor.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	now := wholeSecond(s.config.Now())
	if err := a.changeProducts(body.Products, now); err != nil {
		return 0, nil, err
	}
	for _, p := range body.Products {
		s.tell(a, "products/update", map[string]any{"id": p.ID, "admin_graphql_api_id": gid("Product", p.ID), "title": p.Title, "updated_at": now})
	}
	return http.StatusNoContent, nil, nil
}

// changeProducts applies all of the inputs or none.
func (a *account) changeProducts(inputs []productInput, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var changed []*shop.Product
	for i, in := range inputs {
		price, err := shop.ParseAmount(in.Price)
		if in.ID <= 0 || in.Title == "" || err != nil || price < 0 {
			return fmt.Errorf("products[%d]: want a positive id, a title and a price", i)
		}
		p := &shop.Product{ID: in.ID, CreatedAt: now}
		if before, exists := a.catalog.products[in.ID]; exists {
			*p = *before.Product
		}
		p.Title, p.Price, p.UpdatedAt = in.Title, price, now
		changed = append(changed, p)
	}
	a.catalog = newCatalog(a.catalog.data.WithProducts(changed))
	return nil
}

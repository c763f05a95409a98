package shop

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const fileColumns = "order_id,customer_id,ordered_at,items,total,currency"

// ReadFile reads the orders of a CSV file, see Read.
func ReadFile(path string) (Data, error) {
	f, err := os.Open(path)
	if err != nil {
		return Data{}, fmt.Errorf("open orders file: %w", err)
	}
	defer f.Close()
	data, err := Read(f)
	if err != nil {
		return Data{}, fmt.Errorf("orders file %s: %w", path, err)
	}
	return data, nil
}

// Read reads orders as CSV with the header
// order_id,customer_id,ordered_at,items,total,currency: positive integer ids, an
// RFC 3339 time, a count, a decimal amount and an ISO 4217 code, the same one in
// every row. Customers are derived, and products are those of a generated shop; there
// are no taxes or refunds. An error names the line.
func Read(r io.Reader) (Data, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = 6
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return Data{}, fmt.Errorf("read header: %w", err)
	}
	if got := strings.Join(header, ","); got != fileColumns {
		return Data{}, fmt.Errorf("header is %q, want %q", got, fileColumns)
	}
	data := Data{Source: "file"}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Data{}, err
		}
		order, err := orderOf(row)
		if err == nil && data.Currency != "" && order.Currency != data.Currency {
			err = fmt.Errorf("currency %s differs from %s before", order.Currency, data.Currency)
		}
		if err != nil {
			line, _ := rows.FieldPos(0)
			return Data{}, fmt.Errorf("line %d: %w", line, err)
		}
		data.Currency = order.Currency
		data.Orders = append(data.Orders, order)
	}
	if len(data.Orders) == 0 {
		return Data{}, errors.New("no orders after the header")
	}
	slices.SortFunc(data.Orders, func(a, b *Order) int { return cmp.Compare(a.ID, b.ID) })
	for i := 1; i < len(data.Orders); i++ {
		if data.Orders[i].ID == data.Orders[i-1].ID {
			return Data{}, fmt.Errorf("order id %d appears twice", data.Orders[i].ID)
		}
	}
	data.Customers = customersOf(data.Orders)
	data.Products = products(Parameters{})
	return data, nil
}

func orderOf(row []string) (*Order, error) {
	id, err := strconv.ParseInt(row[0], 10, 64)
	if err != nil || id <= 0 {
		return nil, fmt.Errorf("order_id %q is not a positive integer", row[0])
	}
	customer, err := strconv.ParseInt(row[1], 10, 64)
	if err != nil || customer <= 0 {
		return nil, fmt.Errorf("customer_id %q is not a positive integer", row[1])
	}
	at, err := time.Parse(time.RFC3339, row[2])
	if err != nil {
		return nil, fmt.Errorf("ordered_at %q is not an RFC 3339 time", row[2])
	}
	items, err := strconv.Atoi(row[3])
	if err != nil || items < 0 {
		return nil, fmt.Errorf("items %q is not a count", row[3])
	}
	total, err := ParseAmount(row[4])
	if err != nil {
		return nil, err
	}
	if !IsCurrency(row[5]) {
		return nil, fmt.Errorf("currency %q is not three capital letters", row[5])
	}
	at = at.UTC()
	return &Order{
		ID: id, Name: "#" + row[0], CustomerID: customer, CreatedAt: at, UpdatedAt: at,
		Status: Paid, Currency: strings.Clone(row[5]), Items: items, Subtotal: total, Total: total,
	}, nil
}

// IsCurrency reports whether s has the form of an ISO 4217 code.
func IsCurrency(s string) bool {
	return len(s) == 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

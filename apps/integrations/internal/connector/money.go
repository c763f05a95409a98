package connector

import "github.com/tandemhq/tandem/pkg/money"

// Minor is a vendor's decimal amount in its currency's minor units, exactly; errors as of money.Parse.
func Minor(amount, currency string) (int64, error) { return money.Parse(amount, currency) }

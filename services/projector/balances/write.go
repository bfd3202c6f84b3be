package balances

import "context"

// flush writes what the fold touched, some of it at a time, and then answers.
func (p *partition) flush(ctx context.Context) error {
	for accounts := sortedKeys(p.touched); len(accounts) > 0; {
		n := min(flushMax, len(accounts))
		if err := p.writeBalances(ctx, accounts[:n]); err != nil {
			return err
		}
		accounts = accounts[n:]
	}
	catalog, err := p.catalogPuts(sortedKeys(p.touchedKeys))
	if err != nil {
		return err
	}
	if err := p.catalog.write(ctx, catalog); err != nil {
		return err
	}
	p.settle()
	return p.answer()
}

func (p *partition) writeBalances(ctx context.Context, accounts []string) error {
	puts, err := p.balancePuts(accounts)
	if err != nil {
		return err
	}
	return p.balances.write(ctx, puts)
}

// reconcile writes every key that does not stand where the fold says. Whether
// one that does holds what the fold says is left to check, because to encode
// them all takes a while.
func (p *partition) reconcile(ctx context.Context) error {
	p.unchecked = nil
	accounts := make([]string, 0, flushMax)
	for account := range p.state.Accounts() {
		var own place
		own.sequence, own.index, own.at = p.state.Last(account)
		if k := p.balances.known[account]; k.sum != 0 && k.place == own {
			p.unchecked = append(p.unchecked, account)
			continue
		}
		if accounts = append(accounts, account); len(accounts) == flushMax {
			if err := p.writeBalances(ctx, accounts); err != nil {
				return err
			}
			accounts = accounts[:0]
		}
	}
	if err := p.writeBalances(ctx, accounts); err != nil {
		return err
	}
	clear(p.touched)
	for key := range p.places {
		p.touchedKeys[key] = struct{}{}
	}
	return p.flush(ctx)
}

// answer publishes the decisions whose effects the buckets now show.
func (p *partition) answer() error {
	for len(p.replies) > 0 {
		if err := p.config.Broker.Reply(p.replies[0].subject, p.replies[0].body); err != nil {
			return err
		}
		p.replies = p.replies[1:]
	}
	p.replies = nil
	return nil
}

// check compares some of the values that stand where they should.
func (p *partition) check(ctx context.Context) error {
	n := min(checkMax, len(p.unchecked))
	if n == 0 {
		p.unchecked = nil
		return nil
	}
	accounts := p.unchecked[:n]
	p.unchecked = p.unchecked[n:]
	return p.writeBalances(ctx, accounts)
}

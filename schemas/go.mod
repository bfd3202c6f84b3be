module github.com/drawdown-credits/drawdown/schemas

go 1.26

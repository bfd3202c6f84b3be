package main

import "testing"

func TestTheAccountOfARequestIsInItsID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"topup:acme:3": "acme", "topup:a-b_C:12": "a-b_C",
		"": "", "acme": "", "topup:acme": "", "topup:acme:": "", "topup:acme:0": "", "topup:a b:1": "", "topup::1": "", "topup:acme:1:2": "", "grant:acme:1": "",
	} {
		account, ok := accountOfTopUp(id)
		if ok != (want != "") || ok && account != want {
			t.Errorf("%q is of %q (%t); want %q", id, account, ok, want)
		}
	}
}

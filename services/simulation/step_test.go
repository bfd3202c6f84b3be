package simulation

import (
	"slices"
	"testing/synctest"
	"time"

	"github.com/drawdown-credits/drawdown/services/internal/simulated"
)

// step lets one thing happen.
func (w *world) step() {
	w.steps++
	synctest.Wait()
	w.revive()
	p := w.profile
	operations, deliveries, asking := w.waiting()
	idle := len(operations)+len(deliveries) == 0
	switch {
	case w.chance(p.crash):
		w.crash(pick(w, w.instances))
	case w.chance(p.restart):
		w.restart(pick(w, w.instances))
	case w.chance(p.cut):
		w.cut(pick(w, w.instances))
	case w.chance(p.powerCut):
		w.powerCut()
	case w.chance(p.pause):
		w.pause(pick(w, w.instances))
	case w.chance(p.handover):
		w.handover(pick(w, w.instances))
	case w.load.left > 0 && (w.chance(p.publishing) || idle && w.chance(2)):
		w.load.next()
	case !asking && w.chance(p.leap):
		w.fault("leap")
		w.say("%s passed", w.sleep(time.Duration(w.rng.IntN(60))*time.Second+time.Microsecond))
	case idle || !asking && w.chance(p.time):
		w.pass()
	default:
		if i := w.rng.IntN(len(operations) + len(deliveries)); i < len(operations) {
			w.operate(operations[i])
		} else {
			d := deliveries[i-len(operations)]
			w.say("%s: %d", d, d.Deliver())
		}
	}
}

// waiting returns what may happen next. An instance that stands still gets
// nothing but answers to what it asks, and one that asks something not much
// more: in which order a goroutine finds two things that both came while it was
// busy is the runtime's choice and no seed's.
func (w *world) waiting() (_ []*simulated.Operation, _ []*simulated.Delivery, asking bool) {
	still, asks := map[*simulated.Client]bool{}, map[*simulated.Client]bool{}
	for _, in := range w.instances {
		still[in.client] = in.paused > 0
		in.paused = max(0, in.paused-1)
	}
	operations := w.network.Operations()
	for _, o := range operations {
		if o.Asks() && !o.Abandoned() {
			asks[o.Client()] = true
		}
	}
	operations = slices.DeleteFunc(operations, func(o *simulated.Operation) bool {
		return !o.Asks() && (still[o.Client()] || asks[o.Client()] && o.Decided() && !o.Abandoned())
	})
	deliveries := slices.DeleteFunc(w.network.Deliveries(), func(d *simulated.Delivery) bool {
		return still[d.Client()] || asks[d.Client()]
	})
	return operations, deliveries, len(asks) > 0
}

// operate decides what becomes of an operation, or of a part of it.
func (w *world) operate(o *simulated.Operation) {
	p := w.profile
	switch {
	case o.Abandoned() && (!o.Writes() || o.Decided()):
		o.Fail(simulated.ErrTimeout) // nobody hears it
		return
	case o.Abandoned() && !w.chance(p.late):
		o.Fail(simulated.ErrTimeout)
		w.say("%s is lost on its way", o)
		return
	case o.Abandoned():
		w.fault("late")
		o.Perform()
		w.say("%s: late", o)
		return
	case o.Decided():
		o.Answer()
		w.say("%s: answered", o)
		return
	case w.chance(p.refuse):
		w.fault("refuse")
		o.Fail(simulated.ErrDisconnected)
		w.say("%s: refused", o)
		return
	case w.chance(p.lose):
		w.fault("lose")
		o.Lose()
	case w.chance(p.mute):
		w.fault("mute")
		o.Mute()
	default:
		o.Perform()
	}
	if o.Decided() && (o.Asks() || !w.asks(o.Client()) && !w.chance(p.slow)) {
		o.Answer()
	}
	w.say("%s", o)
}

// asks reports whether a client waits for the answer to a question.
func (w *world) asks(c *simulated.Client) bool {
	return slices.ContainsFunc(w.network.Operations(), func(o *simulated.Operation) bool {
		return o.Client() == c && o.Asks() && !o.Abandoned()
	})
}

// pass lets time pass.
func (w *world) pass() {
	d := time.Duration(w.rng.IntN(20)) * time.Millisecond
	switch n := w.rng.IntN(100); {
	case n < 30:
		d *= 25
	case n < 40:
		d *= 300
	}
	d += time.Microsecond
	w.say("%s passed", w.sleep(d))
}

// advance moves the clock of the simulation on, which alone moves it.
func (w *world) advance(d time.Duration) { time.Sleep(d) }

// sleep lets time pass until somebody asks for something, at most d, and
// returns how much it was.
func (w *world) sleep(d time.Duration) time.Duration {
	const tick = 10 * time.Millisecond
	before := len(w.network.Operations())
	began := time.Now()
	for rest := d; rest > 0; rest = d - time.Since(began) {
		w.advance(min(rest, tick))
		synctest.Wait()
		if len(w.network.Operations()) != before {
			break
		}
	}
	return time.Since(began)
}

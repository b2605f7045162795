// Judges histories with Porcupine: one a line on standard input, one verdict a line on standard
// output. bench/porcupine.ts writes the histories and compares the verdicts with Kontiki's.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type event struct {
	Client  int    `json:"client"`
	ID      int    `json:"id"`
	Returns bool   `json:"returns"`
	Kind    string `json:"kind"`
	A       int    `json:"a"`
	B       int    `json:"b"`
	Text    string `json:"text"`
	Unknown bool   `json:"unknown"`
	Swapped bool   `json:"swapped"`
}

type history struct {
	Model  string  `json:"model"`
	Events []event `json:"events"`
}

var register = porcupine.Model{
	Init: func() interface{} { return 0 },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		held, in, out := state.(int), input.(event), output.(event)
		switch in.Kind {
		case "read":
			return out.Unknown || out.A == held, held
		case "write":
			return true, in.A
		default:
			swaps := held == in.A
			next := held
			if swaps {
				next = in.B
			}
			return out.Unknown || out.Swapped == swaps, next
		}
	},
}

var text = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		held, in, out := state.(string), input.(event), output.(event)
		switch in.Kind {
		case "get":
			return out.Unknown || out.Text == held, held
		case "put":
			return true, in.Text
		default:
			return true, held + in.Text
		}
	},
}

func judge(line []byte) porcupine.CheckResult {
	var h history
	if err := json.Unmarshal(line, &h); err != nil {
		panic(err)
	}
	events := make([]porcupine.Event, 0, len(h.Events))
	for _, e := range h.Events {
		kind := porcupine.CallEvent
		if e.Returns {
			kind = porcupine.ReturnEvent
		}
		events = append(events, porcupine.Event{ClientId: e.Client, Kind: kind, Value: e, Id: e.ID})
	}
	model := register
	if h.Model == "text" {
		model = text
	}
	return porcupine.CheckEventsTimeout(model, events, 2*time.Second)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		fmt.Fprintln(out, judge(in.Bytes()))
	}
}

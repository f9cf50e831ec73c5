package dail_test

import (
	"errors"
	"fmt"

	"github.com/x/dail"
)

// A plan refuses what cannot be, before anything is created.
func ExampleConfig_Plan() {
	plan, err := dail.Config{Model: "qwen3-coder", Hardware: "l40s", Devs: "4,8"}.Plan()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Run.Serving.ServedModelName, "for", plan.Run.Devs)

	_, err = dail.Config{Model: "qwen3-coder", Quant: "bf16"}.Plan()
	var refusal *dail.InputError
	fmt.Println(errors.As(err, &refusal), dail.ExitStatus(nil, err))
	// Output:
	// qwen3-coder-30b-fp8 for [4 8]
	// true 2
}

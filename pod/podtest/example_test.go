package podtest_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/x/dail/pod/podtest"
)

// A program asks for a pod where there is none, asks again, and forgets to
// give it back.
func Example() {
	srv, err := podtest.NewServer(podtest.Config{NoMachines: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	srv.Inject(podtest.NoCapacity, 1)

	for range 2 {
		body := `{"name":"mine-1","image":"runpod/pytorch","disk":50,"gpu":{"id":"NVIDIA L40S","count":2}}`
		req, err := http.NewRequest("POST", srv.URL+"/pods", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+srv.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()

	for _, e := range srv.Events() {
		fmt.Println(e.Method, e.Status, e.Faults)
	}
	for _, p := range srv.Alive() {
		fmt.Printf("%s is still billed, $%.2f an hour\n", p.Name, p.USDPerHour)
	}
	// Output:
	// 400 Bad Request
	// 201 Created
	// POST 400 [no-capacity]
	// POST 201 []
	// mine-1 is still billed, $1.98 an hour
}

package podtest_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/x/dail/pod/podtest"
)

func TestMain(m *testing.M) {
	switch os.Getenv("PODTEST_HELPER") {
	case "no main":
		_, err := podtest.NewServer(podtest.Config{})
		fmt.Println(err)
		return
	case "landlord":
		podtest.Main()
		landlord()
		return
	}
	podtest.Main()
	goleak.VerifyTestMain(m)
}

// landlord is a program that has a server, and is killed.
func landlord() {
	srv, err := podtest.NewServer(podtest.Config{Root: os.Getenv("PODTEST_ROOT"), Boot: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(srv.URL, srv.Key)
	select {}
}

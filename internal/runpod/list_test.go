package runpod_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/x/dail/internal/runpod"
)

func page(next string, ids ...string) answer {
	var pods []string
	for _, id := range ids {
		pods = append(pods, `{"id":"`+id+`"}`)
	}
	cursor := "null"
	if next != "" {
		cursor = `"` + next + `"`
	}
	return answer{status: 200, body: fmt.Sprintf(`{"pods":[%s],"pagination":{"nextCursor":%s,"hasNextPage":%v}}`,
		strings.Join(pods, ","), cursor, next != "")}
}

func TestListReadsEveryPage(t *testing.T) {
	for _, tc := range []struct {
		name  string
		pages []answer
		want  string
	}{
		{"without pagination", []answer{{status: 200, body: `{"pods":[{"id":"a"}]}`}}, "a"},
		{"empty", []answer{page("")}, ""},
		{"three pages, one of them empty", []answer{page("c1", "a", "b"), page("c2"), page("", "c")}, "a b c"},
		{"a pod that has moved to the next page", []answer{page("c1", "a", "b"), page("", "b", "c")}, "a b c"},
		{"a page that fails first", []answer{page("c1", "a"), problem(500, "x"), page("", "b")}, "a b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := say(tc.pages...)
			var cursors []string
			c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				cursors = append(cursors, r.URL.Query().Get("cursor"))
				srv.ServeHTTP(w, r)
			})
			pods, err := c.List(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, p := range pods {
				ids = append(ids, p.ID)
			}
			if strings.Join(ids, " ") != tc.want || cursors[0] != "" || slices.Contains(cursors[1:], "") {
				t.Errorf("got %q with cursors %q", ids, cursors)
			}
		})
	}
}

// A list is whole, or an error: who trusts half of one leaves pods running.
func TestAListIsNeverAPart(t *testing.T) {
	endless := 0
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"cursor loop", say(page("c1", "a"), page("c2", "b"), page("c1", "a")).ServeHTTP},
		{"the same page for ever", say(page("c1", "a")).ServeHTTP},
		{"more, but no cursor", say(answer{status: 200, body: `{"pods":[],"pagination":{"nextCursor":null,"hasNextPage":true}}`}).ServeHTTP},
		{"pages without end", func(w http.ResponseWriter, r *http.Request) {
			endless++
			say(page(fmt.Sprint("c", endless), fmt.Sprint("p", endless))).ServeHTTP(w, r)
		}},
		{"no list", say(answer{status: 200, body: `{}`}).ServeHTTP},
		{"a list of null", say(answer{status: 200, body: `{"pods":null}`}).ServeHTTP},
		{"a pod without an id", say(answer{status: 200, body: `{"pods":[{"name":"x"}]}`}).ServeHTTP},
		{"the second page is refused", say(page("c1", "a"), problem(422, "bad cursor")).ServeHTTP},
		{"v1's array", say(answer{status: 200, body: `[]`}).ServeHTTP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := serve(t, tc.handler)
			if pods, err := c.List(context.Background()); err == nil || pods != nil {
				t.Errorf("got %d pods and %v", len(pods), err)
			}
		})
	}
	if endless > 200 {
		t.Errorf("%d pages were read", endless)
	}
}

func TestOddPodsAreStillRead(t *testing.T) {
	c, _ := serve(t, say(answer{status: 200, body: `{"pods":[
		{"id":"a","status":"HIBERNATING","createdAt":"2026-08-20 06:16:19.436 +0000 UTC","dataCenterId":null,"env":null,"gpu":null,"ssh":{"proxy":null,"direct":null}},
		{"id":"b","status":"RUNNING","createdAt":"yesterday","ssh":{"direct":{"host":"1.2.3.4","port":10341,"username":"root","command":"ssh …"}},"runtime":{"ports":[{"private":22}]}},
		{"id":"c","createdAt":1790000000,"unheardOf":{"x":[1]}}]}`}).ServeHTTP)
	pods, err := c.List(context.Background())
	if err != nil || len(pods) != 3 {
		t.Fatal(err)
	}
	if a := pods[0]; a.Status != "HIBERNATING" || a.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z") != "2026-08-20T06:16:19.436Z" {
		t.Errorf("%+v", a)
	}
	if b := pods[1]; !b.CreatedAt.IsZero() || *b.SSH.Direct != (runpod.SSHEndpoint{Host: "1.2.3.4", Port: 10341, Username: "root"}) {
		t.Errorf("%+v", b)
	}
}

package podtest

import (
	"net/http"
	"strconv"
	"time"
)

// Line is what one pod has cost.
type Line struct {
	PodID      string
	Name       string
	Created    time.Time
	Ended      time.Time // zero: it is billed still
	Seconds    float64   // from the create until the delete took effect, or now
	USDPerHour float64   // with its GPUs
	USD        float64
}

// Bill says what each pod that was made by a call has cost until now, the
// oldest first.
func (s *Server) Bill() []Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clk.Now()
	var lines []Line
	for _, p := range s.pods {
		if p.foreign {
			continue
		}
		end := now
		if !p.alive() {
			end = p.ended
		}
		lines = append(lines, Line{
			PodID: p.id, Name: p.name, Created: p.created, Ended: p.ended,
			Seconds: end.Sub(p.created).Seconds(), USDPerHour: p.rate, USD: p.usd(p.created, now),
		})
	}
	return lines
}

// usd is what the pod cost in a time.
func (p *pod) usd(from, to time.Time) float64 {
	sum := 0.0
	for _, x := range p.periods {
		end := x.to
		if end.IsZero() || end.After(to) {
			end = to
		}
		begin := x.from
		if begin.Before(from) {
			begin = from
		}
		if end.After(begin) {
			sum += end.Sub(begin).Hours() * x.usdPerHour
		}
	}
	return sum
}

// credit is what is left of the balance, USD.
func (s *Server) credit() float64 {
	left := s.cfg.Balance
	for _, l := range s.Bill() {
		left -= l.USD
	}
	return left
}

// spending is what all pods cost now, USD per hour.
func (s *Server) spending() float64 {
	sum := 0.0
	for _, p := range s.Alive() {
		sum += p.USDPerHour
	}
	return sum
}

type amounts struct {
	Total float64 `json:"totalAmount"`
	GPU   float64 `json:"gpuAmount"`
	CPU   float64 `json:"cpuAmount"`
	Disk  float64 `json:"diskAmount"`
}

type billingRecord struct {
	StartTime string `json:"startTime"`
	EndTime   string `json:"endTime"`
	PodID     string `json:"podId"`
	amounts
}

// podBilling is GET /v2/billing/pods. Unlike the real one it does not lag.
func (s *Server) podBilling(c *call) answer {
	q := c.r.URL.Query()
	size := q.Get("bucketSize")
	if size == "" {
		size = "day"
	}
	now := s.clk.Now().UTC()
	from, to := now.AddDate(0, 0, -30), now
	if q.Has("lastN") {
		if q.Has("startTime") || q.Has("endTime") {
			return refuse(http.StatusBadRequest, "lastN and startTime/endTime are mutually exclusive")
		}
		n, _ := strconv.Atoi(q.Get("lastN")) // the contract has let it pass
		from = bucket(now, size)
		for range min(n, 10000) - 1 {
			from = bucket(from.Add(-time.Second), size)
		}
	}
	if t, err := time.Parse(time.RFC3339, q.Get("startTime")); err == nil {
		from = t.UTC()
	}
	if t, err := time.Parse(time.RFC3339, q.Get("endTime")); err == nil {
		to = t.UTC()
	}
	from = bucket(from, size)
	if b := bucket(to, size); !b.Equal(to) {
		to = next(b, size)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	records := []billingRecord{}
	var total amounts
	seen := map[string]bool{}
	for at := from; at.Before(to); at = next(at, size) {
		end := next(at, size)
		for _, p := range s.pods {
			if q.Has("podId") && p.id != q.Get("podId") {
				continue
			}
			usd := p.usd(at, earlier(end, now))
			if usd == 0 {
				continue
			}
			seen[p.id] = true
			total.Total, total.GPU = total.Total+usd, total.GPU+usd
			records = append(records, billingRecord{stamp(at), stamp(end), p.id, amounts{Total: usd, GPU: usd}})
		}
	}
	query := map[string]any{"startTime": stamp(from), "endTime": stamp(to), "bucketSize": size}
	if q.Has("podId") {
		query["podId"] = q.Get("podId")
	}
	return answer{status: 200, body: map[string]any{
		"records":  records,
		"metadata": map[string]any{"query": query, "recordCount": len(records), "uniquePodCount": len(seen), "totals": total},
	}}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// bucket is the beginning of the bucket that t is in.
func bucket(t time.Time, size string) time.Time {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch size {
	case "hour":
		return t.Truncate(time.Hour)
	case "week":
		return day.AddDate(0, 0, -(int(day.Weekday())+6)%7) // from Monday
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case "year":
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return day
}

// next is the beginning of the bucket after the one that begins at t.
func next(t time.Time, size string) time.Time {
	switch size {
	case "hour":
		return t.Add(time.Hour)
	case "week":
		return t.AddDate(0, 0, 7)
	case "month":
		return t.AddDate(0, 1, 0)
	case "year":
		return t.AddDate(1, 0, 0)
	}
	return t.AddDate(0, 0, 1)
}

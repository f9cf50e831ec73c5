package benchmarks_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/x/dail/internal/linkfarm"
)

// mutants are plausible ways to get the module wrong: each replaces a piece of
// the module that the cassette builds, and each must fail a gate.
var mutants = []struct{ name, old, new string }{
	{"touching bookings collide", "span.start < entry.end + desk.turnover", "span.start <= entry.end + desk.turnover"},
	{"no turnover before", "entry.start < span.end + desk.turnover", "entry.start < span.end"},
	{"no turnover after", "span.start < entry.end + desk.turnover", "span.start < entry.end"},
	{"rooms share their bookings", "entry.roomId === room.id &&", "entry.roomId !== null &&"},
	{"largest room first", "a.seats - b.seats", "b.seats - a.seats"},
	{"ties by id", ".sort((a, b) => a.seats - b.seats)", ".sort((a, b) => a.seats - b.seats || (a.id < b.id ? 1 : -1))"},
	{"first room that fits", ".sort((a, b) => a.seats - b.seats)", ""},
	{"needs a seat to spare", "room.seats >= request.seats && isFree", "room.seats > request.seats && isFree"},
	{"never waits for lack of seats", "if (!desk.rooms.some((room) => room.seats >= request.seats)) {", "if (false) {"},
	{"owner kept as it is", "request.owner.trim()", "request.owner"},
	{"seats unchecked", "if (!isWhole(request.seats, 1)) {", "if (false) {"},
	{"fractions accepted", "Number.isInteger(value)", "Number.isFinite(value)"},
	{"negative start accepted", "!isWhole(span.start, 0)", "!Number.isInteger(span.start)"},
	{"empty span accepted", "span.end <= span.start", "span.end < span.start"},
	{"ids from zero", "desk.entries.length + 1", "desk.entries.length"},
	{"promotes in reverse", "for (const entry of desk.entries) {\n    if (entry.status", "for (const entry of [...desk.entries].reverse()) {\n    if (entry.status"},
	{"promotes only one", "confirmed.push({ ...entry });", "confirmed.push({ ...entry });\n    break;"},
	{"stops at the first that does not fit", "if (!room) continue;", "if (!room) break;"},
	{"promotes the cancelled", `if (entry.status !== "waiting") continue;`, `if (entry.status === "confirmed") continue;`},
	{"promotion says waiting", `entry.status = "confirmed";`, ""},
	{"cancelled keeps its room", "entry.roomId = null;", ""},
	{"promotes nobody", "freedRoom ? confirmWaiting(desk) : []", "[]"},
	{"cancelling a waiting one returns itself", "freedRoom ? confirmWaiting(desk) : []", "freedRoom ? confirmWaiting(desk) : [{ ...entry }]"},
	{"unknown booking ignored", `throw new DeskError("unknown-booking", ` + "`there is no booking \"${id}\"`);", "return [];"},
	{"plain error", `throw new DeskError("unknown-room",`, `throw new Error(`},
	{"wrong code", `throw new DeskError("too-many-seats",`, `throw new DeskError("invalid-request",`},
	{"agenda unsorted", ".sort((a, b) => a.start - b.start)", ""},
	{"agenda backwards", "a.start - b.start", "b.start - a.start"},
	{"agenda is live", ".sort((a, b) => a.start - b.start)\n    .map((entry) => ({ ...entry }))", ".sort((a, b) => a.start - b.start)"},
	{"waitlist is live", `"waiting").map((entry) => ({ ...entry }))`, `"waiting")`},
	{"book returns the entry", "return { ...entry };", "return entry;"},
	{"cancel returns entries", "confirmed.push({ ...entry });", "confirmed.push(entry);"},
	{"rooms kept", "rooms.map(({ id, seats }) => ({ id, seats }))", "rooms"},
	{"waitlist lists all", `entry.status === "waiting"`, `entry.status !== "confirmed"`},
	{"free spans ignore the turnover before", "start - desk.turnover", "start"},
	{"free spans ignore the turnover after", "end + desk.turnover)", "end)"},
	{"free spans run past the window", "Math.min(start - desk.turnover, window.end)", "start - desk.turnover"},
	{"free spans from the day's start", "let cursor = window.start;", "let cursor = 0;"},
	{"free spans forget the end", "free.push({ start: cursor, end: window.end });", ""},
	{"free spans longer than asked", "span.end - span.start >= minMinutes", "span.end - span.start > minMinutes"},
	{"shortest span unchecked", "if (!isWhole(minMinutes, 1)) {", "if (false) {"},
	{"free spans take any window", "minMinutes = 1): Span[] {\n  checkSpan(window);", "minMinutes = 1): Span[] {"},
	{"usage beyond the window", "Math.min(end, window.end)", "end"},
	{"usage before the window", "Math.max(start, window.start)", "start"},
	{"usage goes negative", "Math.max(0, Math.min(", "Math.max(-9e9, Math.min("},
	{"share in percent", "bookedMinutes / (window.end - window.start)", "(100 * bookedMinutes) / (window.end - window.start)"},
	{"usage by id", "return desk.rooms.map((room) => {", "return [...desk.rooms].sort((a, b) => (a.id < b.id ? 1 : -1)).map((room) => {"},
	{"usage takes any window", "RoomUsage[] {\n  checkSpan(window);", "RoomUsage[] {"},
	{"duplicate rooms", " || seen.has(room.id)", ""},
	{"blank rooms", `room.id.trim() === "" || `, ""},
	{"no rooms", "if (rooms.length === 0) {", "if (false) {"},
	{"rooms without seats", "if (!isWhole(room.seats, 1)) {", "if (false) {"},
	{"turnover unchecked", "if (!isWhole(turnover, 0)) {", "if (false) {"},
	{"turnover ignored", "const turnover = options.turnover ?? 0;", "const turnover = 0 * (options.turnover ?? 0);"},
	// What only the types show.
	{"another signature", "export function book(desk: Desk, request: BookingRequest): Booking {", "export function book(desk: Desk, request: BookingRequest & { readonly title: string }): Booking {"},
	{"another name", "export function waitlist(", "export function waitingList("},
	{"another status", `"confirmed" | "waiting" | "cancelled"`, `"confirmed" | "waiting" | "cancelled" | "lost"`},
	{"any room", "readonly roomId: string | null;", "readonly roomId: any;"},
	{"missing code", `| "too-many-seats" | "unknown-room" | "unknown-booking"`, `| "too-many-seats" | "unknown-room" | "unknown-booking" | "other"`},
	{"a type error", "return found;", "return found.id;"},
}

func TestGatesRejectWrongModules(t *testing.T) {
	modules := toolchain(t)
	b := load(t, "dev-load")
	workspace, _ := build(t, b, modules)
	right, err := os.ReadFile(filepath.Join(workspace, "src/desk.ts"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := make([]string, len(mutants))
	for i, m := range mutants {
		if n := strings.Count(string(right), m.old); n != 1 {
			t.Fatalf("%s: %q occurs %d times in the module, want once", m.name, m.old, n)
		}
		wrong[i] = strings.Replace(string(right), m.old, m.new, 1)
	}
	caught := acceptanceOfMany(t, b, modules, append(wrong, string(right)))
	if caught[len(mutants)] {
		t.Fatal("the acceptance test fails on the right module")
	}
	byTypes := 0
	for i, m := range mutants {
		if caught[i] {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "src/desk.ts"), wrong[i])
			if score(t, b, modules, dir).Passed {
				t.Error("both gates pass")
			}
		})
		byTypes++
	}
	t.Logf("%d wrong modules: %d fail the acceptance test, the other %d fail the type check", len(mutants), len(mutants)-byTypes, byTypes)
	if byTypes > len(mutants)/5 {
		t.Error("the acceptance test lets too many of them pass")
	}
}

// acceptanceOfMany runs the acceptance test on many modules in one process,
// since starting one for each takes a minute, and tells which failed.
func acceptanceOfMany(t *testing.T, b loaded, modules string, sources []string) []bool {
	t.Helper()
	dir := t.TempDir()
	if err := linkfarm.Make(filepath.Join(dir, "node_modules"), modules); err != nil {
		t.Fatal(err)
	}
	test := string(read(t, b.Dir, "gates/.gates/acceptance.test.ts"))
	for i, source := range sources {
		writeFile(t, filepath.Join(dir, strconv.Itoa(i), "src/desk.ts"), source)
		writeFile(t, filepath.Join(dir, strconv.Itoa(i), "gates/acceptance.test.ts"), test)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(modules, ".bin/vitest"), "run",
		"--root", dir, "--pool", "threads", "--no-isolate", "--reporter", "json", "--outputFile", "result.json")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput() // its status is 1: most modules are wrong
	var report struct {
		TestResults []struct {
			Name   string `json:"name"`
			Status string `json:"status"`
		} `json:"testResults"`
	}
	text, readErr := os.ReadFile(filepath.Join(dir, "result.json"))
	if readErr != nil {
		t.Fatalf("vitest: %v, %v\n%s", err, readErr, out)
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	failed := make([]bool, len(sources))
	seen := 0
	for _, r := range report.TestResults {
		i, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(r.Name))))
		if err != nil || i >= len(sources) {
			t.Fatalf("vitest reports on %s", r.Name)
		}
		failed[i] = r.Status != "passed"
		seen++
	}
	if seen != len(sources) {
		t.Fatalf("vitest reports on %d of %d modules\n%s", seen, len(sources), out)
	}
	return failed
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What an agent leaves beside its module must not decide the verdict.
func TestGatesIgnoreTheAgentsSettings(t *testing.T) {
	modules := toolchain(t)
	b := load(t, "dev-load")
	workspace, _ := build(t, b, modules)
	for name, text := range map[string]string{
		"tsconfig.json":                    `{"extends": "./missing.json", "include": ["nowhere"]}`,
		"vitest.config.ts":                 `throw new Error("not this one");`,
		"vitest.workspace.ts":              `throw new Error("nor this");`,
		"vite.config.mjs":                  `export default { test: { include: ["nothing"] } };`,
		"postcss.config.cjs":               `throw new Error("nor that");`,
		"package.json":                     `{"type": "commonjs", "vitest": {"include": []}}`,
		".env":                             "VITEST=broken\n",
		"test/wrong.test.ts":               `import { nothing } from "nowhere"; nothing.at.all;`,
		".gates/acceptance.test.ts":        `import { test } from "vitest"; test("nothing", () => {});`,
		"node_modules/vitest/package.json": `{"name": "vitest", "version": "0.0.1", "bin": "none.js"}`,
	} {
		file := filepath.Join(workspace, name)
		if strings.HasPrefix(name, "node_modules/") {
			// As npm install would: the agent's own folder in place of the link.
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, file, text)
	}
	if v := score(t, b, modules, workspace); !v.Passed {
		t.Errorf("gates: %+v", v.Results)
	}
}

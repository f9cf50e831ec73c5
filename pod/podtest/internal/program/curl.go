package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// request is what curl's options come to.
type request struct {
	method, url, output, writeOut string
	headers                       []string
	data                          []byte
	hasData, fail, failBody       bool
	silent, showErrors, include   bool
	timeout                       time.Duration
}

// curl is as much of curl as a script needs that ends its own pod.
func curl(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	r := request{}
	if err := r.parse(args, stdin); err != nil {
		fmt.Fprintf(stderr, "curl: %v (podtest's curl has few options)\n", err)
		return 2
	}
	if r.url == "" {
		fmt.Fprintln(stderr, "curl: (2) no URL specified")
		return 2
	}
	status, why := r.send(stdout)
	if status != 0 && (!r.silent || r.showErrors) {
		fmt.Fprintf(stderr, "curl: (%d) %s\n", status, why)
	}
	return status
}

// curlOptions are those that it has, by what they do; one with "=" takes a
// value.
var curlOptions = map[string]string{
	"-X": "request=", "--request": "request=", "-H": "header=", "--header": "header=",
	"-d": "data=", "--data": "data=", "--data-binary": "data=", "--data-raw": "raw=",
	"-o": "output=", "--output": "output=", "-w": "write-out=", "--write-out": "write-out=",
	"-m": "max-time=", "--max-time": "max-time=", "--connect-timeout": "ignore=", "-A": "user-agent=", "--user-agent": "user-agent=",
	"-K": "config=", "--config": "config=", "--url": "url=", "--retry": "ignore=", "--retry-delay": "ignore=", "--retry-max-time": "ignore=",
	"-s": "silent", "--silent": "silent", "-S": "show-error", "--show-error": "show-error", "-f": "fail", "--fail": "fail",
	"--fail-with-body": "fail-with-body", "-L": "ignore", "--location": "ignore", "-i": "include", "--include": "include",
	"-q": "ignore", "--disable": "ignore", "--http1.1": "ignore", "-4": "ignore", "--ipv4": "ignore", "--retry-connrefused": "ignore",
}

func (r *request) parse(args []string, stdin io.Reader) error {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case !strings.HasPrefix(arg, "-") || arg == "-":
			r.url = arg
			continue
		case strings.HasPrefix(arg, "--"):
			what, known := curlOptions[arg]
			if !known {
				return fmt.Errorf("option %s: is unknown", arg)
			}
			name, takes := strings.CutSuffix(what, "=")
			value := ""
			if takes {
				if i++; i >= len(args) {
					return fmt.Errorf("option %s: requires parameter", arg)
				}
				value = args[i]
			}
			if err := r.set(name, value, stdin); err != nil {
				return err
			}
			continue
		}
		for j := 1; j < len(arg); j++ { // -sSf, -XDELETE
			what, known := curlOptions["-"+arg[j:j+1]]
			if !known {
				return fmt.Errorf("option -%s: is unknown", arg[j:j+1])
			}
			name, takes := strings.CutSuffix(what, "=")
			value := ""
			if takes {
				if value = arg[j+1:]; value == "" {
					if i++; i >= len(args) {
						return fmt.Errorf("option -%s: requires parameter", arg[j:j+1])
					}
					value = args[i]
				}
				j = len(arg)
			}
			if err := r.set(name, value, stdin); err != nil {
				return err
			}
		}
	}
	return nil
}

// set applies one option, which has its long name.
func (r *request) set(name, value string, stdin io.Reader) error {
	switch name {
	case "request":
		r.method = value
	case "url":
		r.url = value
	case "header":
		lines, err := valueOrFile(value, stdin)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(lines)) {
			r.headers = append(r.headers, strings.TrimSpace(line))
		}
	case "user-agent":
		r.headers = append(r.headers, "User-Agent: "+value)
	case "data", "raw":
		body := []byte(value)
		if name == "data" {
			var err error
			if body, err = valueOrFile(value, stdin); err != nil {
				return err
			}
		}
		if r.hasData {
			body = append(append(r.data, '&'), body...)
		}
		r.data, r.hasData = body, true
	case "output":
		r.output = value
	case "write-out":
		r.writeOut = value
	case "max-time":
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("option --max-time: %w", err)
		}
		r.timeout = time.Duration(seconds * float64(time.Second))
	case "config":
		return r.config(value, stdin)
	case "silent":
		r.silent = true
	case "show-error":
		r.showErrors = true
	case "fail":
		r.fail = true
	case "fail-with-body":
		r.fail, r.failBody = true, true
	case "include":
		r.include = true
	}
	return nil
}

// valueOrFile is a value, or what the file holds that it names after an @.
func valueOrFile(value string, stdin io.Reader) ([]byte, error) {
	name, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		return []byte(value), nil
	}
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// config reads curl's configuration file: "option = "value"" lines.
func (r *request) config(name string, stdin io.Reader) error {
	text, err := valueOrFile("@"+name, stdin)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cut := strings.IndexAny(line, "=: \t")
		option, value := line, ""
		if cut >= 0 {
			option, value = line[:cut], strings.TrimLeft(line[cut:], "=: \t")
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		if !strings.HasPrefix(option, "-") {
			option = "--" + option
		}
		what, known := curlOptions[option]
		if !known {
			return fmt.Errorf("%s: unknown option %q", name, option)
		}
		if err := r.set(strings.TrimSuffix(what, "="), value, stdin); err != nil {
			return err
		}
	}
	return nil
}

// send makes the request. It returns curl's status and what curl says to it.
func (r *request) send(stdout io.Writer) (status int, why string) {
	ctx := context.Background()
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	method := r.method
	if method == "" {
		method = http.MethodGet
		if r.hasData {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url, bytes.NewReader(r.data))
	if err != nil {
		return 3, err.Error()
	}
	req.Header.Set("User-Agent", "curl/8.5.0")
	if r.hasData {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range r.headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 28, "Operation timed out"
		}
		return 7, "Failed to connect: " + err.Error()
	}
	defer resp.Body.Close()
	return r.receive(resp, stdout)
}

func (r *request) receive(resp *http.Response, stdout io.Writer) (status int, why string) {
	failed := r.fail && resp.StatusCode >= 400
	body := stdout
	if r.output != "" {
		f, err := os.Create(r.output)
		if err != nil {
			return 23, err.Error()
		}
		defer f.Close()
		body = f
	}
	if r.include {
		fmt.Fprintf(body, "%s %s\r\n", resp.Proto, resp.Status)
		resp.Header.Write(body)
		fmt.Fprint(body, "\r\n")
	}
	if !failed || r.failBody {
		if _, err := io.Copy(body, resp.Body); err != nil {
			return 18, err.Error()
		}
	}
	out := strings.NewReplacer("%{http_code}", strconv.Itoa(resp.StatusCode), "%{response_code}", strconv.Itoa(resp.StatusCode), `\n`, "\n")
	fmt.Fprint(stdout, out.Replace(r.writeOut))
	if failed {
		return 22, fmt.Sprintf("The requested URL returned error: %d", resp.StatusCode)
	}
	return 0, ""
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

func TestSimulateRefuses(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		status    int
		want      string
	}{
		{[]string{"-fault", "lag=0.1"}, 2, "noreply, late, flip"},
		{[]string{"-meters", "many"}, 2, "whole number"},
		{[]string{"-speed", "2400"}, 2, "-speed"},
		{[]string{"now"}, 2, `"now" is not understood`},
		{[]string{"-listen", "nowhere:port"}, 1, "listen for a master"},
		{[]string{"-listen", "127.0.0.1:0", "-pty", "/nonexistent/link"}, 1, "pseudo terminal"},
	} {
		var out, stderr bytes.Buffer
		status := runSimulate(t.Context(), test.arguments, nil, &out, &stderr)
		if status != test.status || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("simulate %q: status %d, errors %q; want %d with %q", test.arguments, status, stderr.String(), test.status, test.want)
		}
		if out.Len() > 0 {
			t.Errorf("simulate %q prints %q", test.arguments, out.String())
		}
	}
}

// TestSimulate starts the command, does what it says, and stops it.
func TestSimulate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	output, out := io.Pipe()
	ended := make(chan int)
	var stderr bytes.Buffer
	go func() {
		ended <- runSimulate(ctx, []string{"-listen", "127.0.0.1:0", "-addresses", "000000000001@1997,2", "-baud", "115200", "-turnaround", "1ms", "-fe", "2"}, nil, out, &stderr)
	}()
	lines := bufio.NewScanner(output)
	var text strings.Builder
	var address string
	for address == "" && lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if match := regexp.MustCompile(`tcp://(127\.0\.0\.1:\d+)\?baud=115200`).FindStringSubmatch(lines.Text()); match != nil {
			address = match[1]
		}
	}
	for _, meter := range []string{"meter 000000000001, DL/T 645-1997\n", "meter 000000000002, DL/T 645-2007\n", " -protocol 1997 000000000001 "} {
		if !strings.Contains(text.String(), meter) {
			t.Errorf("%q lacks %q", text.String(), meter)
		}
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	for _, exchange := range []struct{ request, answer string }{
		{"6802000000000068110436343337BB16", "FEFE6802000000000068910536343337488416"}, // 04000103 of 000000000002
		{"6801000000000068010244F40C16", "FEFE6801000000000068810344F448D516"},         // C111 of 000000000001
	} {
		request, _ := hex.DecodeString(exchange.request)
		if _, err := connection.Write(request); err != nil {
			t.Fatal(err)
		}
		want, _ := hex.DecodeString(exchange.answer)
		answer := make([]byte, len(want))
		if _, err := io.ReadFull(connection, answer); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(answer, want) {
			t.Errorf("answer % X, want % X", answer, want)
		}
	}
	cancel()
	if status := <-ended; status != 0 || stderr.Len() > 0 {
		t.Errorf("ended with status %d, errors %q", status, stderr.String())
	}
}

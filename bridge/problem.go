package bridge

import (
	"errors"
	"fmt"
	"strings"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A problem is an error as clients see it. It is an error itself, so that the functions that
// take a request apart can return it.
type problem struct {
	Code         Code     `json:"code"`
	Message      string   `json:"message"`
	Reasons      []string `json:"reasons,omitempty"`
	Offline      bool     `json:"offline,omitempty"` // the meter was not asked: it has stopped answering
	RetryAfterMS int64    `json:"retry_after_ms,omitempty"`

	Rows points.Problems `json:"rows,omitempty"` // what is wrong with a point table, and where
}

func (p *problem) Error() string { return string(p.Code) + ": " + p.Message }

func problemf(code Code, format string, arguments ...any) *problem {
	return &problem{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// problemOf puts any error of protocol and bus under its code of the contract.
func problemOf(err error) *problem {
	var known *problem
	if errors.As(err, &known) {
		return known
	}
	p := &problem{Code: CodeInternal, Message: err.Error()}
	for _, row := range []struct {
		target error
		code   Code
	}{
		{protocol.ErrBadRequest, CodeBadRequest},
		{meters.ErrUnknown, CodeUnknownMeter},
		{protocol.ErrUnknownItem, CodeUnknownItem},
		{protocol.ErrUnsupported, CodeUnsupported},
		{protocol.ErrUnsafe, CodeRefused},
		{protocol.ErrSilent, CodeTimeout},
		{protocol.ErrGarbled, CodeGarbled},
		{bus.ErrBusy, CodeBusy},
		{bus.ErrExpired, CodeExpired},
		{bus.ErrDown, CodeBusDown},
		{bus.ErrStopping, CodeStopping},
	} {
		if errors.Is(err, row.target) {
			p.Code = row.code
			switch row.code {
			case CodeBadRequest, CodeUnknownMeter, CodeUnknownItem, CodeUnsupported, CodeRefused: // the code says that much
				p.Message = strings.TrimPrefix(p.Message, row.target.Error()+": ")
			}
			break
		}
	}
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		p.Code, p.Reasons = CodeRefused, refusal.Reasons
	}
	var busy *bus.BusyError
	if errors.As(err, &busy) {
		p.RetryAfterMS = busy.RetryAfter.Milliseconds()
	}
	var offline *bus.OfflineError
	if errors.As(err, &offline) {
		p.Offline, p.RetryAfterMS = true, offline.RetryAfter.Milliseconds()
	}
	return p
}

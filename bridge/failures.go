package bridge

import (
	"strings"

	"dlt645-mqtt/protocol"
)

// unsent are the errors of commands that are worth an event although nothing was sent: whoever gave the
// command did nothing wrong, and may see nothing but a switch that stays as it was.
var unsent = map[Code]bool{
	CodeBusy: true, CodeExpired: true, CodeTimeout: true, CodeGarbled: true, CodeRefused: true, CodeBusDown: true, CodeUnsupported: true, CodeInternal: true,
}

// reportCommand has it published that a command for a meter has failed, for those who did
// not wait for the reply. Repeats of it are not reported again.
func (b *Bridge) reportCommand(r *request, a *reply) {
	if a.OK || a.Meter == "" {
		return
	}
	message, reasons := a.Message, a.Reasons
	details := []protocol.Member{{Name: "verb", Value: r.verb}}
	if r.command.action != "" {
		details = append(details, protocol.Member{Name: "action", Value: cropped(r.command.action)})
	}
	if r.command.item != "" {
		details = append(details, protocol.Member{Name: "item", Value: cropped(r.command.item)})
	}
	switch {
	case a.Error != nil:
		if !unsent[a.Error.Code] {
			return
		}
		message, reasons = a.Error.Message, a.Error.Reasons
		details = append(details, protocol.Member{Name: "code", Value: a.Error.Code})
	default:
		details = append(details, protocol.Member{Name: "result", Value: a.Result})
		if message == "" && a.Result == resultRefused {
			message = "the meter has said no: " + strings.Join(reasons, ", ")
		}
	}
	if len(reasons) > 0 {
		details = append(details, protocol.Member{Name: "reasons", Value: reasons})
	}
	details = append(details, protocol.Member{Name: "message", Value: b.say(message)})
	if a.Error != nil || a.Result == resultRefused {
		b.keeper.CommandRefused(a.Meter, a.Error == nil, details)
	} else {
		b.keeper.CommandUnknown(a.Meter, details)
	}
}

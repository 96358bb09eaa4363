package dlt645

import "fmt"

// A Control is the control code of a frame: direction, outcome and function. Clause 5.2.3
// of DL/T 645-2007.
type Control byte

// The bits of a control code.
const (
	fromMeter Control = 0x80 // D7: sent by the meter
	refused   Control = 0x40 // D6: an error answer
	more      Control = 0x20 // D5: follow-up frames exist
)

// FromMeter reports whether the frame was sent by the meter (bit D7).
func (c Control) FromMeter() bool { return c&fromMeter != 0 }

// Refused reports whether the frame is an error answer (bit D6).
func (c Control) Refused() bool { return c&refused != 0 }

// More reports whether follow-up frames are to be asked for (bit D5).
func (c Control) More() bool { return c&more != 0 }

// Function returns the function code (bits D4 to D0).
func (c Control) Function() Function { return Function(c & 0x1F) }

// String returns the code as two hex digits, as in "91".
func (c Control) String() string { return fmt.Sprintf("%02X", byte(c)) }

// A Function is a function code, 00H to 1FH. Its meaning depends on the version.
type Function byte

// The functions of the 2007 edition. Authentication, relay and output came with its
// amendments.
const (
	FunctionAuthenticate  Function = 0x03
	FunctionReportAnswer  Function = 0x06 // China Southern Grid: the master has seen a report; not answered
	FunctionBroadcastTime Function = 0x08 // in both editions; not answered
	FunctionRead          Function = 0x11
	FunctionReadFollowUp  Function = 0x12
	FunctionReadAddress   Function = 0x13
	FunctionWrite         Function = 0x14
	FunctionWriteAddress  Function = 0x15
	FunctionFreeze        Function = 0x16
	FunctionSetBaud       Function = 0x17
	FunctionSetPassword   Function = 0x18
	FunctionClearDemand   Function = 0x19
	FunctionClearMeter    Function = 0x1A
	FunctionClearEvents   Function = 0x1B
	FunctionRelay         Function = 0x1C
	FunctionOutput        Function = 0x1D
)

// The functions of the 1997 edition.
const (
	FunctionRead1997         Function = 0x01
	FunctionReadFollowUp1997 Function = 0x02
	FunctionReadAgain1997    Function = 0x03
	FunctionWrite1997        Function = 0x04
	FunctionWriteAddress1997 Function = 0x0A
	FunctionSetBaud1997      Function = 0x0C
	FunctionSetPassword1997  Function = 0x0F
	FunctionClearDemand1997  Function = 0x10
)

var names2007 = [32]string{
	FunctionAuthenticate:  "authenticate",
	FunctionReportAnswer:  "report_answer",
	FunctionBroadcastTime: "broadcast_time",
	FunctionRead:          "read",
	FunctionReadFollowUp:  "read_follow_up",
	FunctionReadAddress:   "read_address",
	FunctionWrite:         "write",
	FunctionWriteAddress:  "write_address",
	FunctionFreeze:        "freeze",
	FunctionSetBaud:       "set_baud",
	FunctionSetPassword:   "set_password",
	FunctionClearDemand:   "clear_demand",
	FunctionClearMeter:    "clear_meter",
	FunctionClearEvents:   "clear_events",
	FunctionRelay:         "relay",
	FunctionOutput:        "output",
}

var names1997 = [32]string{
	FunctionRead1997:         "read",
	FunctionReadFollowUp1997: "read_follow_up",
	FunctionReadAgain1997:    "read_again",
	FunctionWrite1997:        "write",
	FunctionBroadcastTime:    "broadcast_time",
	FunctionWriteAddress1997: "write_address",
	FunctionSetBaud1997:      "set_baud",
	FunctionSetPassword1997:  "set_password",
	FunctionClearDemand1997:  "clear_demand",
}

// Name returns the word for the function in version v, "unknown" if v does not define it.
func (f Function) Name(v Version) string {
	names := &names2007
	if v == V1997 {
		names = &names1997
	}
	if name := names[f&0x1F]; name != "" {
		return name
	}
	return "unknown"
}

// Version returns the edition that a frame of this function belongs to: 1997 for the
// functions that only 1997 has, else 2007. Functions 03H and 08H are in both.
func (f Function) Version() Version {
	if f &= 0x1F; names1997[f] != "" && names2007[f] == "" {
		return V1997
	}
	return V2007
}

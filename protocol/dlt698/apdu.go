package dlt698

import "fmt"

// A Service is the first byte of an APDU: of a request, or with bit 7 set of its answer.
// Clause 7.2 of DL/T 698.45.
type Service byte

// The services.
const (
	Link     Service = 0x01 // of terminals; the server asks
	Connect  Service = 0x02
	Release  Service = 0x03
	Get      Service = 0x05
	Set      Service = 0x06
	Action   Service = 0x07
	Report   Service = 0x08 // 88H reports, 08H is the client's answer
	Proxy    Service = 0x09
	Security Service = 0x10 // another APDU, and how it is secured
	Fault    Service = 0x6E // why an APDU was not understood

	// Answered is set in the service of an answer.
	Answered Service = 0x80
)

var serviceNames = map[Service]string{
	Link: "LINK", Connect: "CONNECT", Release: "RELEASE", Get: "GET", Set: "SET", Action: "ACTION",
	Report: "REPORT", Proxy: "PROXY", Security: "SECURITY", Fault: "ERROR",
}

// String returns the name as the standard has it, such as "GET-Request".
func (s Service) String() string {
	name := serviceNames[s&^Answered]
	switch {
	case s&^Answered == Fault && name != "":
		return name
	case name == "":
		return fmt.Sprintf("service %02X", byte(s))
	case s == 0x84:
		return "RELEASE-Notification"
	case s == Report|Answered:
		return "REPORT-Notification"
	case s&Answered != 0:
		return name + "-Response"
	}
	return name + "-Request"
}

// The forms of a service, its second byte.
const (
	Normal     = 1 // one attribute or method
	NormalList = 2
	Record     = 3 // of GET: rows of a record
	RecordList = 4
	Next       = 5 // of GET: the next block of an answer that is too long for one
	ThenGet    = 3 // of SET and ACTION: a list, and after each an attribute is read
)

var choiceNames = map[Service][]string{
	Get:    {Normal: "normal", NormalList: "normal list", Record: "record", RecordList: "record list", Next: "next", 6: "MD5"},
	Set:    {Normal: "normal", NormalList: "normal list", ThenGet: "then get"},
	Action: {Normal: "normal", NormalList: "normal list", ThenGet: "then get"},
	Report: {1: "normal list", 2: "record list", 3: "transparent"},
	Proxy:  {1: "get list", 2: "get record", 3: "set list", 4: "set then get list", 5: "action list", 6: "action then get list", 7: "transparent"},
}

// The bits of PIID, the byte behind service and form.
const (
	piidNumber = 0x3F // the client's number of the request, which the server repeats
	piidACD    = 0x40 // of an answer: the meter has something to report
)

// An APDU is a request or an answer of the application layer. Which fields count depends on
// Service and Choice.
type APDU struct {
	Service Service
	Choice  byte // the form of Get, Set, Action, Report and Proxy and of their answers
	PIID    byte // in answers with a bit more: see piidACD
	Entries []Entry

	Block   uint16 // of Next: the number of a block
	Last    bool   // of the answer to Next: no other follows
	Records bool   // of the answer to Next: the entries are of records
	DAR     DAR    // why there is no block, of the answer to Next; why there is no APDU, of Security; of Fault, why

	Follow        []Entry // what a meter reports behind its answer
	FollowRecords bool    // the entries are of records
	TimeTag       []byte  // of a request when it was sent (date_time_s), and for how long it is valid (TI); nil: none

	Sealed *Sealed // of Security
	Body   []byte  // of any other service: all behind service, form and PIID, as it travels
}

// An Entry is what an APDU says of one attribute, method or record.
type Entry struct {
	OAD  OAD  // of a method its OMD
	Data Data // what is set, the argument of a method, or the value in an answer
	Has  bool // of an answer: there is a value, or rows; of an action's, data came back
	DAR  DAR  // of an answer: how it went

	RSD     RSD    // of a record that is asked for
	Columns []CSD  // of a record: in a request, which are wanted; in an answer, which came
	Cells   []Data // of a record that came: row by row

	// Then is the attribute that is read after a Set or an Action, of form ThenGet.
	Then *Entry
	// Delay is how many seconds after it.
	Delay byte
}

// Rows returns how many rows of a record came.
func (e *Entry) Rows() int {
	if len(e.Columns) == 0 {
		return 0
	}
	return len(e.Cells) / len(e.Columns)
}

// Row returns the cells of one row, from 0 on.
func (e *Entry) Row(i int) []Data { return e.Cells[i*len(e.Columns) : (i+1)*len(e.Columns)] }

// The ways in which an APDU is checked, as Sealed has them.
const (
	CheckSIDMAC = 0
	CheckRN     = 1
	CheckRNMAC  = 2
	CheckSID    = 3
	checkMAC    = 0 // of an answer
)

// A Sealed is what Security holds: another APDU, and what its receiver checks it by. A client
// without keys can send any random number; the meter then answers with a MAC that only a key
// holder can check.
type Sealed struct {
	Cipher bool   // the APDU is ciphertext
	APDU   []byte // as it travels
	Check  byte   // of a request: one of the Check constants
	HasMAC bool   // of an answer
	ID     []byte // the number of a SID, four bytes
	Extra  []byte // what belongs to a SID
	RN     []byte // random number
	MAC    []byte
}

// ParseAPDU reads one APDU. What it returns refers to b. The error wraps [protocol.ErrGarbled].
func ParseAPDU(b []byte) (APDU, error) { return parseAPDU(b, nil) }

// parseAPDU reads an APDU and puts its entries into spare, if they fit.
func parseAPDU(b []byte, spare []Entry) (APDU, error) {
	r := cursor{b: b, spare: spare}
	a := r.apdu()
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes are left behind the end of %s", len(r.b), a.Service)
	}
	if r.err != nil {
		return APDU{}, r.err
	}
	return a, nil
}

func (r *cursor) apdu() (a APDU) {
	a.Service = Service(r.byte("the service"))
	switch a.Service &^ Answered {
	case Security:
		a.Sealed = r.sealed(&a)
		return a
	case Fault:
		a.PIID = r.byte("PIID")
		a.DAR = DAR(r.byte("the type of an error"))
		a.Body = r.rest() // an answer has its tail, which says nothing
		return a
	case Get, Set, Action, Report, Proxy:
		a.Choice = r.byte("the form of a service")
	}
	a.PIID = r.byte("PIID")
	if !r.body(&a) {
		a.Body = r.rest()
		return a
	}
	if a.Service&Answered != 0 {
		r.follow(&a)
	}
	a.TimeTag = r.timeTag()
	return a
}

func (r *cursor) rest() []byte { return r.cut(len(r.b), "the rest") }

// body reads what is between PIID and the end of a service and form that are known.
func (r *cursor) body(a *APDU) bool {
	var entry func(*Entry)
	list := a.Choice == NormalList || a.Choice == ThenGet
	least := 5
	switch a.Service {
	case Get, Get | Answered:
		list = a.Choice == NormalList || a.Choice == RecordList
		switch a.Choice {
		case Normal, NormalList:
			entry = r.asked
			least = 4
			if a.Service&Answered != 0 {
				entry = r.result
			}
		case Record, RecordList:
			entry = r.selected
			if a.Service&Answered != 0 {
				entry = r.rows
			}
		case Next:
			r.next(a)
			return true
		default:
			return false
		}
	case Set, Action:
		entry = r.given
		if a.Choice == ThenGet {
			entry = r.givenThenGet
		}
	case Set | Answered:
		entry = r.done
		if a.Choice == ThenGet {
			entry = r.doneThenGet
		}
	case Action | Answered:
		entry = r.acted
		if a.Choice == ThenGet {
			entry = r.actedThenGet
		}
	case Report:
		entry, list, least = r.asked, true, 4
		if a.Choice != 1 && a.Choice != 2 {
			return false
		}
	case Report | Answered:
		entry, list = r.result, true
		switch a.Choice {
		case 1:
		case 2:
			entry = r.rows
		default:
			return false
		}
	default:
		return false
	}
	if a.Choice == 0 || a.Choice > RecordList || a.Choice == RecordList && a.Service&^Answered != Get {
		return false
	}
	n := 1
	if list {
		n = r.count(least, "entries")
	}
	a.Entries = r.entries(n, entry)
	return true
}

func (r *cursor) entries(n int, entry func(*Entry)) []Entry {
	if r.err != nil {
		return nil
	}
	var entries []Entry
	if n <= cap(r.spare) {
		entries, r.spare = r.spare[:n], nil
		clear(entries)
	} else {
		entries = make([]Entry, n)
	}
	for i := range entries {
		if entry(&entries[i]); r.err != nil {
			return nil
		}
	}
	return entries
}

// asked reads an attribute that is wanted.
func (r *cursor) asked(e *Entry) { e.OAD = r.oad("an OAD") }

// selected reads which rows of a record are wanted.
func (r *cursor) selected(e *Entry) {
	e.OAD = r.oad("an OAD")
	e.RSD = r.rsd()
	e.Columns = r.rcsd()
}

// given reads what is set, or the argument of a method.
func (r *cursor) given(e *Entry) {
	e.OAD = r.oad("an OAD or OMD")
	e.Data = r.data()
}

func (r *cursor) givenThenGet(e *Entry) {
	r.given(e)
	e.Then = &Entry{OAD: r.oad("the OAD to be read then")}
	e.Delay = r.byte("the delay of what is read then")
}

// result reads an attribute and its value, or why there is none.
func (r *cursor) result(e *Entry) {
	e.OAD = r.oad("an OAD")
	r.outcome(e)
}

func (r *cursor) outcome(e *Entry) {
	switch choice := r.byte("the choice of a result"); choice {
	case 0:
		e.DAR = DAR(r.byte("the result of an access"))
	case 1:
		e.Has = true
		e.Data = r.data()
	default:
		r.fail("choice %d of a result is neither the reason of a refusal (0) nor data (1)", choice)
	}
}

// rows reads a record: its columns, and the rows or why there are none.
func (r *cursor) rows(e *Entry) {
	e.OAD = r.oad("an OAD")
	e.Columns = r.rcsd()
	switch choice := r.byte("the choice of rows"); choice {
	case 0:
		e.DAR = DAR(r.byte("the result of an access"))
	case 1:
		e.Has = true
		n := r.count(len(e.Columns), "rows")
		if len(e.Columns) == 0 && n > 0 {
			r.fail("%d rows have no columns", n)
		}
		if r.err != nil || n == 0 {
			return
		}
		e.Cells = make([]Data, n*len(e.Columns))
		for i := range e.Cells {
			if e.Cells[i] = r.data(); r.err != nil {
				return
			}
		}
	default:
		r.fail("choice %d of rows is neither the reason of a refusal (0) nor rows (1)", choice)
	}
}

// done reads how it went to set an attribute.
func (r *cursor) done(e *Entry) {
	e.OAD = r.oad("an OAD or OMD")
	e.DAR = DAR(r.byte("the result of an access"))
}

func (r *cursor) doneThenGet(e *Entry) {
	r.done(e)
	e.Then = new(Entry)
	r.result(e.Then)
}

// acted reads how a method went, and what came back.
func (r *cursor) acted(e *Entry) {
	r.done(e)
	switch choice := r.byte("whether data came back"); choice {
	case 0:
	case 1:
		e.Has = true
		e.Data = r.data()
	default:
		r.fail("%d says neither that no data came back (0) nor that some did (1)", choice)
	}
}

func (r *cursor) actedThenGet(e *Entry) {
	r.acted(e)
	e.Then = new(Entry)
	r.result(e.Then)
}

// next reads a request for a block, or a block.
func (r *cursor) next(a *APDU) {
	if a.Service&Answered == 0 {
		a.Block = uint16(r.number(2, "the number of a block"))
		return
	}
	a.Last = r.byte("whether a block is the last") != 0
	a.Block = uint16(r.number(2, "the number of a block"))
	switch choice := r.byte("the choice of a block"); choice {
	case 0:
		a.DAR = DAR(r.byte("the result of an access"))
	case 1:
		a.Entries = r.entries(r.count(5, "entries"), r.result)
	case 2:
		a.Records = true
		a.Entries = r.entries(r.count(6, "entries"), r.rows)
	default:
		r.fail("choice %d of a block is none of refusal (0), values (1) and records (2)", choice)
	}
}

// follow reads what a meter reports behind its answer.
func (r *cursor) follow(a *APDU) {
	switch choice := r.byte("whether a report follows"); choice {
	case 0:
		return
	case 1:
	default:
		r.fail("%d says neither that no report follows (0) nor that one does (1)", choice)
	}
	switch choice := r.byte("the choice of a report"); choice {
	case 1:
		a.Follow = r.entries(r.count(5, "reported entries"), r.result)
	case 2:
		a.FollowRecords = true
		a.Follow = r.entries(r.count(6, "reported entries"), r.rows)
	default:
		r.fail("choice %d of a report is neither values (1) nor records (2)", choice)
	}
}

// timeTagSize is a date_time_s, and a TI.
const timeTagSize = 7 + 3

func (r *cursor) timeTag() []byte {
	switch choice := r.byte("whether a time tag follows"); choice {
	case 0:
	case 1:
		return r.cut(timeTagSize, "a time tag")
	default:
		r.fail("%d says neither that no time tag follows (0) nor that one does (1)", choice)
	}
	return nil
}

// sealed reads what Security holds.
func (r *cursor) sealed(a *APDU) *Sealed {
	s := new(Sealed)
	switch choice := r.byte("the choice of a secured APDU"); {
	case choice <= 1:
		s.Cipher = choice == 1
		s.APDU = r.octets("a secured APDU")
	case choice == 2 && a.Service&Answered != 0:
		a.DAR = DAR(r.byte("the result of an access"))
	default:
		r.fail("choice %d of a secured APDU is not known", choice)
	}
	if a.Service&Answered != 0 {
		if r.byte("whether a check follows") == 0 {
			return s
		}
		if choice := r.byte("the choice of a check"); choice != checkMAC {
			r.fail("choice %d of a check is not a MAC (0)", choice)
		}
		s.HasMAC, s.MAC = true, r.octets("MAC")
		return s
	}
	s.Check = r.byte("the choice of a check")
	switch s.Check {
	case CheckSIDMAC, CheckSID:
		s.ID = r.cut(4, "SID")
		s.Extra = r.octets("SID")
	case CheckRN, CheckRNMAC:
		s.RN = r.octets("a random number")
	default:
		r.fail("choice %d of a check is not known", s.Check)
	}
	if s.Check == CheckSIDMAC || s.Check == CheckRNMAC {
		s.MAC = r.octets("MAC")
	}
	return s
}

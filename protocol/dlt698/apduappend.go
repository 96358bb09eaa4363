package dlt698

// Append appends the APDU as it travels.
func (a *APDU) Append(b []byte) []byte {
	b = append(b, byte(a.Service))
	switch a.Service &^ Answered {
	case Security:
		return a.appendSealed(b)
	case Fault:
		return append(append(b, a.PIID, byte(a.DAR)), a.Body...)
	case Get, Set, Action, Report, Proxy:
		b = append(b, a.Choice)
	}
	b = append(b, a.PIID)
	if a.Body != nil {
		return append(b, a.Body...)
	}
	answered := a.Service&Answered != 0
	switch {
	case a.Service&^Answered == Get && a.Choice == Next:
		b = a.appendNext(b)
	case a.Service&^Answered == Get && (a.Choice == Normal || a.Choice == Record),
		a.Service&^Answered != Get && a.Service&^Answered != Report && a.Choice == Normal:
		b = a.appendEntries(b)
	default:
		b = a.appendEntries(appendLength(b, len(a.Entries)))
	}
	if answered {
		b = a.appendFollow(b)
	}
	if a.TimeTag == nil {
		return append(b, 0)
	}
	return append(append(b, 1), a.TimeTag...)
}

func (a *APDU) appendEntries(b []byte) []byte {
	for i := range a.Entries {
		e := &a.Entries[i]
		switch a.Service {
		case Get:
			if b = e.OAD.append(b); a.Choice == Record || a.Choice == RecordList {
				b = appendColumns(e.RSD.append(b), e.Columns)
			}
		case Get | Answered:
			b = e.appendResult(b, a.Choice == Record || a.Choice == RecordList)
		case Report:
			b = e.OAD.append(b)
		case Report | Answered:
			b = e.appendResult(b, a.Choice == 2)
		case Set, Action:
			if b = e.Data.Append(e.OAD.append(b)); a.Choice == ThenGet {
				b = append(e.Then.OAD.append(b), e.Delay)
			}
		case Set | Answered, Action | Answered:
			b = append(e.OAD.append(b), byte(e.DAR))
			if a.Service == Action|Answered {
				b = e.appendReturned(b)
			}
			if a.Choice == ThenGet {
				b = e.Then.appendResult(b, false)
			}
		}
	}
	return b
}

func (e *Entry) appendReturned(b []byte) []byte {
	if !e.Has {
		return append(b, 0)
	}
	return e.Data.Append(append(b, 1))
}

// appendResult appends the value or the rows of an entry, or why there are none.
func (e *Entry) appendResult(b []byte, record bool) []byte {
	b = e.OAD.append(b)
	if record {
		b = appendColumns(b, e.Columns)
	}
	switch {
	case !e.Has:
		return append(b, 0, byte(e.DAR))
	case !record:
		return e.Data.Append(append(b, 1))
	}
	b = appendLength(append(b, 1), e.Rows())
	for _, cell := range e.Cells {
		b = cell.Append(b)
	}
	return b
}

func (a *APDU) appendNext(b []byte) []byte {
	if a.Service&Answered == 0 {
		return append(b, byte(a.Block>>8), byte(a.Block))
	}
	last := byte(0)
	if a.Last {
		last = 1
	}
	b = append(b, last, byte(a.Block>>8), byte(a.Block))
	if a.DAR != darSuccess {
		return append(b, 0, byte(a.DAR))
	}
	return appendResults(b, a.Entries, a.Records)
}

// appendResults appends a list of values or of records, and which of them it is.
func appendResults(b []byte, entries []Entry, records bool) []byte {
	choice := byte(1)
	if records {
		choice = 2
	}
	b = appendLength(append(b, choice), len(entries))
	for i := range entries {
		b = entries[i].appendResult(b, records)
	}
	return b
}

func (a *APDU) appendFollow(b []byte) []byte {
	if a.Follow == nil {
		return append(b, 0)
	}
	return appendResults(append(b, 1), a.Follow, a.FollowRecords)
}

func (a *APDU) appendSealed(b []byte) []byte {
	s := a.Sealed
	switch {
	case a.DAR != darSuccess:
		b = append(b, 2, byte(a.DAR))
	case s.Cipher:
		b = appendOctets(append(b, 1), s.APDU)
	default:
		b = appendOctets(append(b, 0), s.APDU)
	}
	if a.Service&Answered != 0 {
		if !s.HasMAC {
			return append(b, 0)
		}
		return appendOctets(append(b, 1, checkMAC), s.MAC)
	}
	b = append(b, s.Check)
	switch s.Check {
	case CheckSIDMAC, CheckSID:
		b = appendOctets(append(b, s.ID...), s.Extra)
	default:
		b = appendOctets(b, s.RN)
	}
	if s.Check == CheckSIDMAC || s.Check == CheckRNMAC {
		b = appendOctets(b, s.MAC)
	}
	return b
}

package dlt645

import (
	"cmp"
	"errors"
	"slices"

	"dlt645-mqtt/protocol"
)

// isBlock reports whether di asks for all items of a level: one of its bytes DI2 to DI0 is
// FFH; in the 1997 edition the low digit is F.
func isBlock(di DI, v Version) bool {
	if v == V1997 {
		return di&0x0F == 0x0F
	}
	return byte(di) == 0xFF || byte(di>>8) == 0xFF || byte(di>>16) == 0xFF
}

// inBlocks puts a block in place of registers that lie together in it, wherever that takes
// less of the wire and the meter is not known to lack it: the fullest block first. A block
// comes in the place of the first of its members.
func (r *reader) inBlocks(registers []register) []register {
	holding := make(map[DI][]int) // which registers a block holds
	items := make(map[DI]Item)
	var order []DI
	for i, register := range registers {
		for _, block := range r.blocks(register) {
			if holding[block.DI] == nil {
				order = append(order, block.DI)
				items[block.DI] = block
			}
			holding[block.DI] = append(holding[block.DI], i)
		}
	}
	placed := make([]bool, len(registers)) // in a block
	blockAt := make(map[int]register)
	for {
		var best DI
		var members []int
		for _, di := range order {
			free := slices.DeleteFunc(slices.Clone(holding[di]), func(i int) bool { return placed[i] })
			if len(free) > len(members) && len(free) >= worthwhile(di, r.version) {
				best, members = di, free
			}
		}
		if members == nil {
			break
		}
		block := register{item: items[best]}
		for _, i := range members {
			placed[i] = true
			block.names = append(block.names, registers[i].names...)
			block.only = append(block.only, registers[i].values()...)
			block.members = append(block.members, registers[i])
		}
		blockAt[members[0]] = block
	}
	var result []register
	for i, register := range registers {
		if block, ok := blockAt[i]; ok {
			result = append(result, block)
		} else if !placed[i] {
			result = append(result, register)
		}
	}
	return result
}

// blocks returns the blocks in which the register may be read. Parameters are read singly:
// makers lay out their blocks in different ways that cannot be told apart by the length. Those of
// the block of status words can: see [diStatusBlock].
func (r *reader) blocks(register register) []Item {
	if register.item.Name == "" || register.of != "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(register.item.blocks()), func(block Item) bool {
		if r.items.isBroken(block) {
			return true
		}
		if r.version == V2007 && block.DI>>24 == 0x04 && block.DI != diStatusBlock {
			return true
		}
		return r.known != nil && r.known.Lacks(block.DI.Format(r.version))
	})
}

// worthwhile is the number of registers from which on the block is shorter on the wire than
// they are one by one. A block of settlements (DI0 = FFH) always has all thirteen.
func worthwhile(block DI, v Version) int {
	if v == V2007 && byte(block) == 0xFF {
		return 3
	}
	return 2
}

// notGiven returns the members of blocks that the meter answered without them: it refused
// the block, or its block is shorter than ours or laid out in another way. A meter that was
// silent is not asked again. Polls take a short block at its word: it ends behind the last
// tariff that the meter has, and to ask for all those beyond would take half a minute. The block of
// status words may leave some out in the middle, that the meter has.
func (r *reader) notGiven(registers []register, answers []protocol.Answer) (singles []register) {
	for i, answer := range answers {
		unreadable := errors.Is(answer.Err, protocol.ErrGarbled) && answer.Result.Address.Text != ""
		if r.isClock(registers[i]) && (hasNone(answer.Err) || unreadable) {
			clock := registers[i]
			clock.parted = true
			singles = append(singles, clock)
			continue
		}
		var refusal *protocol.Refusal
		if answer.Result.Address.IsZero() && !errors.As(answer.Err, &refusal) {
			continue
		}
		if r.class == protocol.ClassPoll && answer.Err == nil && !(r.version == V2007 && registers[i].item.DI == diStatusBlock) && hasAny(answer.Result.Values, registers[i].only) {
			continue
		}
		if registers[i].whole && answer.Err == nil {
			continue // what is not in it the meter does not have, or has not kept
		}
		for _, member := range registers[i].members {
			if answer.Err != nil || !hasAny(answer.Result.Values, member.values()) {
				singles = append(singles, member)
			}
		}
	}
	return singles
}

// silentTo returns the block that was the first to be met with silence, if it was one, and what
// else was not read for that or not given.
func (r *reader) silentTo(registers []register, answers []protocol.Answer) (block register, rest []register, ok bool) {
	silent := func(answer protocol.Answer) bool { return errors.Is(answer.Err, protocol.ErrSilent) }
	first := slices.IndexFunc(answers, silent)
	if first < 0 || registers[first].members == nil {
		return register{}, nil, false
	}
	rest = r.notGiven(registers, answers)
	for i := first + 1; i < len(answers); i++ {
		if silent(answers[i]) {
			rest = append(rest, registers[i])
		}
	}
	return registers[first], rest, true
}

const (
	// frameOverhead is a frame without data: two 68H, address, control code, length, checksum, 16H.
	frameOverhead = 12

	// usualTariffs is how many members a block of tariffs has in most meters: the total and four.
	usualTariffs = 5

	// usualData is what an item of unknown size is taken for.
	usualData = 32
)

// expected returns about how many bytes of data the item has.
func (i Item) expected() (n int) {
	if i.Name == "" {
		return usualData
	}
	f := i.family
	if c, ok := f.codec.(*concatenation); ok {
		parts, _ := c.items(i)
		for _, part := range parts {
			n += part.expected()
		}
		return n
	}
	if running := f.running(i.at); running >= 0 && f.letters[running].symbol == 't' {
		return usualTariffs * f.size(i.at)
	}
	return cmp.Or(i.Size(), usualData)
}

// hasAny reports whether one of the values has one of the names.
func hasAny(values []protocol.Value, names []string) bool {
	return slices.ContainsFunc(values, func(value protocol.Value) bool {
		return slices.Contains(names, value.Name)
	})
}

package bridge

import (
	"slices"

	"dlt645-mqtt/bridge/search"
)

// say puts what people read into their language.
func (b *Bridge) say(text string) string {
	if b.config.Say == nil || text == "" {
		return text
	}
	return b.config.Say(text)
}

// sayProblem does so with a problem. Codes and reasons stay.
func (b *Bridge) sayProblem(p *problem) *problem {
	if b.config.Say == nil || p == nil {
		return p
	}
	said := *p
	said.Message = b.say(p.Message)
	said.Rows = slices.Clone(p.Rows)
	for i := range said.Rows {
		said.Rows[i].Message = b.say(said.Rows[i].Message)
	}
	return &said
}

// sayRiddles does so with what a scan has heard.
func (b *Bridge) sayRiddles(heard []search.Riddle) []search.Riddle {
	if b.config.Say == nil {
		return heard
	}
	heard = slices.Clone(heard)
	for i := range heard {
		heard[i].Message = b.say(heard[i].Message)
	}
	return heard
}

// sayReply does so with all that a reply says in words. What is in it may be kept elsewhere, so it is copied first.
func (b *Bridge) sayReply(a *reply) {
	if b.config.Say == nil {
		return
	}
	a.Error, a.Message = b.sayProblem(a.Error), b.say(a.Message)
	if a.reading != nil {
		said := *a.reading
		said.Errors = slices.Clone(said.Errors)
		for i := range said.Errors {
			if p, ok := said.Errors[i].Value.(*problem); ok {
				said.Errors[i].Value = b.sayProblem(p)
			}
		}
		a.reading = &said
	}
	if a.finding != nil {
		said := *a.finding
		said.Heard, said.Stopped = b.sayRiddles(said.Heard), b.sayProblem(said.Stopped)
		a.finding = &said
	}
}

package protocol

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
)

// An Object is a JSON object whose members keep their order.
type Object []Member

// A Member is a name and a value of an Object.
type Member struct {
	Name  string
	Value any
}

// Set gives the member of that name a value, in its place if it is there, else at the end.
func (o *Object) Set(name string, value any) {
	for i := range *o {
		if (*o)[i].Name == name {
			(*o)[i].Value = value
			return
		}
	}
	*o = append(*o, Member{name, value})
}

// Remove drops the member of that name, if it is there.
func (o *Object) Remove(name string) {
	*o = slices.DeleteFunc(*o, func(m Member) bool { return m.Name == name })
}

// ValuesAndUnits returns values by their names, and the units of those that have one.
func ValuesAndUnits(of []Value) (values, units Object) {
	values, units = Object{}, Object{}
	for _, value := range of {
		values = append(values, Member{value.Name, value.Data})
		if value.Unit != "" {
			units = append(units, Member{value.Name, value.Unit})
		}
	}
	return values, units
}

// MarshalJSON writes the members in order; no members make an empty object.
func (o Object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := AppendJSON(nil, m.Name)
		if err != nil {
			return nil, err
		}
		b = append(append(b, name...), ':')
		if b, err = AppendJSON(b, m.Value); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// buffers are what values are written into before their size is known. A large one is not kept.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const mostKept = 32 << 10

// AppendJSON appends a value as json.Marshal writes it, but without the escaping that only web pages need.
func AppendJSON(b []byte, value any) ([]byte, error) {
	buffer := buffers.Get().(*bytes.Buffer)
	defer func() {
		if buffer.Cap() <= mostKept {
			buffer.Reset()
			buffers.Put(buffer)
		}
	}()
	e := json.NewEncoder(buffer)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...), nil
}

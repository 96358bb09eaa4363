package dialect

// groups cuts readings into runs that have the same key, in order of first appearance. Readings
// of one key keep their order.
func groups[K comparable](readings []Reading, key func(Reading) K) [][]Reading {
	index := make(map[K]int)
	var all [][]Reading
	for _, r := range readings {
		k := key(r)
		i, seen := index[k]
		if !seen {
			i = len(all)
			index[k] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], r)
	}
	return all
}

// deviceAndTime is the key of readings that were taken of one meter at one moment.
type deviceAndTime struct {
	device *Device
	time   int64
}

func byDeviceAndTime(r Reading) deviceAndTime { return deviceAndTime{r.Device, r.Time.UnixMilli()} }

func byDevice(r Reading) *Device { return r.Device }

// rounds cuts readings so that none of the cuts has two readings with the same device and key:
// most clouds write a report as an object, in which a name stands once. A later reading of a
// name is never in an earlier round.
func rounds(readings []Reading) [][]Reading {
	type name struct {
		device *Device
		key    string
	}
	seen := make(map[name]int)
	var all [][]Reading
	for _, r := range readings {
		n := name{r.Device, r.Key}
		round := seen[n]
		if round == len(all) {
			all = append(all, nil)
		}
		all[round] = append(all[round], r)
		seen[n] = round + 1
	}
	return all
}

// fit makes posts of readings, as many of them in each as the limits take. What is too large alone
// goes out as it is: the cloud's refusal is counted.
func fit(readings []Reading, limits Traits, build func([]Reading) Post) (posts []Post) {
	for len(readings) > 0 {
		most := len(readings)
		if limits.Values > 0 {
			most = min(most, limits.Values)
		}
		if limits.Meters > 0 {
			devices := make(map[*Device]bool)
			for i, r := range readings[:most] {
				if devices[r.Device] = true; len(devices) > limits.Meters {
					most = i
					break
				}
			}
		}
		posts = append(posts, halves(readings[:most], limits.Bytes, build)...)
		readings = readings[most:]
	}
	return posts
}

// halves makes posts of readings, halving them until each has no more bytes than most.
func halves(readings []Reading, most int, build func([]Reading) Post) []Post {
	post := splittable(readings, func(part []Reading) Post {
		p := build(part)
		p.Readings = part
		return p
	})
	if post.Split != nil && most > 0 && len(post.Payload) > most {
		half := len(readings) / 2
		return append(halves(readings[:half], most, build), halves(readings[half:], most, build)...)
	}
	return []Post{post}
}

// splittable makes a post of parts that can be written as two posts as well.
func splittable[T any](parts []T, build func([]T) Post) Post {
	p := build(parts)
	if half := len(parts) / 2; half > 0 {
		p.Split = func() []Post { return []Post{splittable(parts[:half], build), splittable(parts[half:], build)} }
	}
	return p
}

// chunks cuts devices into batches.
func chunks(devices []*Device, most int) (all [][]*Device) {
	for len(devices) > most {
		all, devices = append(all, devices[:most]), devices[most:]
	}
	if len(devices) > 0 {
		all = append(all, devices)
	}
	return all
}

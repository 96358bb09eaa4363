package simulator

import "dlt645-mqtt/protocol/dlt645"

// factorySettings returns the parameters that are stored as they are read. All others that
// can be written are zero.
func (m *Meter) factorySettings() map[dlt645.DI][]byte {
	number := m.addressData()
	for i, b := range number {
		if b == 0xAA {
			number[i] = 0
		}
	}
	if m.version == dlt645.V1997 {
		return m.factorySettings1997(number)
	}
	model, freezes := "DTZY645-S", byte(0xFF)
	if m.phases == 1 {
		model, freezes = "DDZY645-S", 0x83 // active energies and variables
	}
	settings := map[dlt645.DI][]byte{
		diDemandPeriod:   {0x15},
		diDemandSlip:     {0x01},
		diYearZoneCount:  {0x02},
		diDayTableCount:  {0x01},
		diDayPeriodCount: {bcd(len(dayPeriods()))},
		diTariffCount:    {tariffs},
		diLadderCount:    {0x03},
		0x04000402:       number,
		0x04000403:       text("SIM"+m.address.String(), 32),
		0x04000404:       text("220V", 6),
		0x04000405:       text("5.0A", 6),
		0x04000406:       text("60A", 6),
		0x04000407:       text("1.0", 4),
		0x04000408:       text("2.0", 4),
		0x04000409:       appendNumber(nil, 1200, 3),
		0x0400040A:       appendNumber(nil, 1200, 3),
		0x0400040B:       text(model, 10),
		0x0400040C:       text(epoch.Format("2006-01-02"), 10),
		0x0400040D:       text("DL/T645-2007", 16),
		diActiveWord:     {0x05}, // forward and reverse added
		diReactiveWord1:  {0x41}, // quadrants I and IV
		diReactiveWord2:  {0x14}, // quadrants II and III
		diBaud:           {0x08}, // 2400 baud
		0x04000801:       {0x7F}, // no day of rest
		0x04000802:       {0x01}, // day-period table of the weekend
		diLoadMode:       {0x3F},
		diTimedMode:      {freezes},
		diInstantMode:    {freezes},
		diHourlyMode:     {0x03},
		diDailyMode:      {freezes},
		0x04000B01:       {0x00, 0x01}, // settlement: day 1, 0 o'clock
		0x04000B02:       {0x99, 0x99}, // not set
		0x04000B03:       {0x99, 0x99},
		diUpperVoltage:   appendNumber(nil, 2640, 2),
		diLowerVoltage:   appendNumber(nil, 1540, 2),
		diHourlyInterval: {0x60},
		0x04010000:       repeated([][3]byte{{1, 0x01, 0x01}, {1, 0x01, 0x07}}),
		0x04010001:       repeated(dayPeriods()),
		0x04800001:       text("simulator", 32),
		0x04800002:       text("none", 32),
		0x04800003:       text("dlt645-mqtt", 32),
	}
	for class := range dlt645.DI(loadClasses) {
		settings[diLoadInterval+1+class] = appendNumber(nil, 15, 2)
	}
	for n := range dlt645.DI(tariffs) {
		settings[0x04050101+n] = appendNumber(nil, []int64{10_242, 8653, 5283, 2950}[n], 4) // CNY 1.0242 for sharp, and so on
	}
	return settings
}

func (m *Meter) factorySettings1997(number []byte) map[dlt645.DI][]byte {
	settings := map[dlt645.DI][]byte{
		0xB634:               appendNumber(nil, 4000, 2), // limits of power, 40 kW
		0xB635:               appendNumber(nil, 4000, 2),
		0xC022:               {0x7F},
		0xC030:               appendNumber(nil, 1200, 3),
		0xC031:               appendNumber(nil, 1200, 3),
		0xC032:               number,
		diDemandPeriod1997:   {0x15},
		diDemandSlip1997:     {0x01},
		0xC113:               {0x05}, // display: 5 s a screen
		0xC114:               {0x10},
		0xC115:               {0x02}, // decimals
		0xC116:               {0x04},
		0xC117:               {0x00, 0x01}, // settlement: day 1, 0 o'clock
		0xC211:               appendNumber(nil, 80, 2),
		diYearZoneCount1997:  {0x02},
		diDayTableCount1997:  {0x01},
		diDayPeriodCount1997: {bcd(len(dayPeriods()))},
		diTariffCount1997:    {tariffs},
		0xC321:               {1, 0x01, 0x01},
		0xC322:               {1, 0x01, 0x07},
		0xC41E:               {0x01},
		0xC511:               appendNumber(nil, 15, 2),
	}
	for n, period := range dayPeriods() {
		settings[0xC331+dlt645.DI(n)] = period[:]
	}
	return settings
}

// text returns ASCII as it travels: last character first, filled up with NUL.
func text(s string, size int) []byte {
	b := make([]byte, size)
	for i := range s {
		b[len(s)-1-i] = s[i]
	}
	return b
}

// dayPeriods lists the tariff periods of a day in wire order: tariff, minute, hour.
func dayPeriods() (periods [][3]byte) {
	for hourOfDay := range int64(24) {
		if hourOfDay == 0 || tariffOf(hourOfDay) != tariffOf(hourOfDay-1) {
			periods = append(periods, [3]byte{byte(1 + tariffOf(hourOfDay)), 0, bcd(int(hourOfDay))})
		}
	}
	return periods
}

// repeated returns a table of 14 entries, of which the unused ones repeat the last.
func repeated(entries [][3]byte) []byte {
	var b []byte
	for i := range 14 {
		entry := entries[min(i, len(entries)-1)]
		b = append(b, entry[:]...)
	}
	return b
}

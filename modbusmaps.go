package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol/modbus"
)

// readModbusMaps reads the register maps of one's own. One with the name of a built-in map takes its
// place.
func (r *configReader) readModbusMaps(c *config) {
	if r.ModbusMaps == "" {
		return
	}
	files, err := os.ReadDir(r.ModbusMaps)
	if err != nil {
		r.complain("MODBUS_MAPS", "%w; it is a folder with a file MODEL.csv for each model", err)
		return
	}
	found := false
	for _, file := range files {
		model, ok := strings.CutSuffix(file.Name(), ".csv")
		if kind := filepath.Ext(file.Name()); kind == ".xlsx" || kind == ".xls" || kind == ".ods" {
			r.complain("MODBUS_MAPS", "%s is the workbook of a spreadsheet: save it as CSV UTF-8, as %s.csv", filepath.Join(r.ModbusMaps, file.Name()), strings.TrimSuffix(file.Name(), kind))
			found = true
		}
		if !ok || file.IsDir() {
			continue
		}
		found = true
		path := filepath.Join(r.ModbusMaps, file.Name())
		m, err := readModbusMap(model, path)
		if err == nil {
			c.protocols[modbus.Name+"/"+model] = modbus.New(m)
			continue
		}
		var problems modbus.Problems
		if !errors.As(err, &problems) {
			r.complain("MODBUS_MAPS", "%w", err)
		}
		for _, p := range problems {
			r.complain("MODBUS_MAPS", "%s: %v", path, p)
		}
	}
	if !found {
		r.complain("MODBUS_MAPS", "there is no file MODEL.csv in %s", r.ModbusMaps)
	}
}

// readModbusMap reads the register map of a model from a file. The error may be modbus.Problems.
func readModbusMap(model, path string) (*modbus.Map, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := points.Decode(data)
	if err != nil {
		return nil, modbus.Problems{{Message: err.Error()}}
	}
	return modbus.ParseMap(model, text)
}

// mapFile is where a map of one's own is.
func (r *configReader) mapFile(model string) string { return filepath.Join(r.ModbusMaps, model+".csv") }

// modelOf is the name of the model that a file is the map of.
func modelOf(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

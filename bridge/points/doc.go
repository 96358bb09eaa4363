// Package points is the point table: which values of which meters are polled, how often, and
// what is done with them. It reads a table from CSV or JSON and checks it against the meters
// and their dictionaries; a [Register] tells which readings of an energy are credible. Package
// bridge does the polling, and main reads the file. The package is pure: no clock, no goroutine,
// no input or output.
//
// A table in CSV has one row a point below a header:
//
//	meter,item,interval,min,max,deadband,name,retain,discovery
//	main,voltage_*,10s,207.0,253.0,0.5,,,
//	*,forward_active_energy,15m,,,,,,
//
// The files:
//
//	points.go    the table and its points
//	csv.go       a table of comma-separated values
//	json.go      a table as JSON
//	check.go     a table is checked against the meters and what they know
//	problems.go  what is wrong with a table, cell by cell
//	credible.go  which readings of an energy are credible
package points

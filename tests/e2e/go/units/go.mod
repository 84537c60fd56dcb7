module weft.test/units

go 1.19

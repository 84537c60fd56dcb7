module weft.test/http

go 1.19

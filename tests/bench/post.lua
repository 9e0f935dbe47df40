-- wrk: POST the file of $BODY as $TYPE.
local file = assert(io.open(os.getenv("BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = os.getenv("TYPE")
wrk.headers["Accept"] = os.getenv("TYPE")

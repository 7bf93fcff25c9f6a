SOURCE = ""

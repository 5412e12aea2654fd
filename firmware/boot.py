"""Runs at each boot, before main.py: ends an update that was cut short.

`umq deploy` brings what is new into the folder /.umq/new, sees that it arrived whole, and only then writes the file
/.umq/switch. Of that each line is a step: "+" and the path of a file that comes from there, "-" and the path of one
that goes. A step that is done may be done again. So whenever the power goes, main.py meets the old node or the new one.
"""

import os


def finish_update():
    try:
        steps = open("/.umq/switch")
    except OSError as error:
        if error.errno != 2:  # ENOENT: no update waits
            print("boot: /.umq/switch cannot be opened (error %d): this may be half an update" % error.errno)
        return
    with steps:
        for step in steps:
            path = step[1:].rstrip("\n")
            try:
                if step[0] == "+":
                    os.rename("/.umq/new/" + path.replace("/", "!"), "/" + path)
                else:
                    os.remove("/" + path)
            except OSError as error:
                if error.errno != 2:  # ENOENT: done before
                    raise
    os.remove("/.umq/switch")


finish_update()

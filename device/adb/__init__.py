"""Android phones through adb, Android's debug bridge: files pushed to them and programs run there.

``adb.py`` runs the tool and says in a sentence what went wrong, ``phones.py`` chooses the phone,
``phone_facts.py`` reads what it is, and ``pushed_program.py`` brings a program there and removes it
again.
"""

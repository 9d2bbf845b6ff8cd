"""The rig: two network namespaces with a satellite link between them, real daemons on both ends, and counters.

    camera side (namespace)  tun --\\              /-- tun  showing side (namespace)
       facewire encoder            shaper (this process)        facewire decoder

`shaper` is the link, as arithmetic; `tunnel` moves packets through it; `daemons` runs the two ends; `scenario` says
what happens when; `measure` turns what was recorded into figures; `command` is `facewire-export link`.
"""

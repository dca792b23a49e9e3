-- Has the constraints that are checked at commit checked now.
SET CONSTRAINTS ALL IMMEDIATE

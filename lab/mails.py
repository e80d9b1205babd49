# SPDX-License-Identifier: ISC
"""Twenty realistic mails of a clinic, of our own invention: who writes to whom, by which door, and what."""

import base64
from email.header import Header


class Mail:
    """`door`: "server" is the clinic's own mail server, "outside" somebody on the Internet,
    "application" the clinic's laboratory system."""

    def __init__(self, door, sender, recipients, header, body):
        self.door, self.sender, self.recipients = door, sender, recipients.split()
        text = header.strip("\n") + "\n\n" + body.lstrip("\n")
        self.data = text.replace("\n", "\r\n").encode("utf-8")

    @property
    def subject(self):
        return next((line[9:] for line in self.data.decode().split("\r\n") if line.lower().startswith("subject: ")), "")


def _header(sender, to, subject, *more, date="Wed, 25 Nov 2026 09:14:03 +0100", number=[0]):
    number[0] += 1
    encoded = subject if subject.isascii() else Header(subject, "utf-8").encode()
    return "\n".join([f"From: {sender}", f"To: {to}", f"Subject: {encoded}", f"Date: {date}",
                      f"Message-ID: <{number[0]:04d}.20261125@mail.clinic.example>", "MIME-Version: 1.0", *more])


_TEXT = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")


def _attachment(kind, name, content):
    encoded = base64.encodebytes(content).decode().strip()
    return (f"Content-Type: {kind}; name=\"{name}\"\nContent-Transfer-Encoding: base64\n"
            f"Content-Disposition: attachment; filename=\"{name}\"\n\n{encoded}\n")


def _mixed(boundary, *parts):
    return "".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n"


def _pdf(lines):
    """As much of a PDF as a reader wants to see, with enough bytes to be worth sending."""
    return b"%PDF-1.4\n" + "\n".join(lines).encode() + b"\n" + bytes(range(256)) * 40 + b"\n%%EOF\n"


def mails():
    nurse, doctor = "Nora Lindqvist <nurse@clinic.example>", "Dr. Amal Haddad <haddad@clinic.example>"
    billing, lab = "Billing <billing@clinic.example>", "Laboratory <lab@clinic.example>"
    return [
        Mail("server", "haddad@clinic.example", "cardiology@partner.example",
             _header(doctor, "cardiology@partner.example", "Referral: Mr. J. Okafor, chest pain on exertion", *_TEXT), """
Dear colleagues,

thank you for seeing Mr. Joseph Okafor, born 1961-03-14, who has had chest pain on exertion for three weeks.
Resting ECG normal, troponin below 3 ng/l. Aspirin 100 mg and bisoprolol 2.5 mg were begun on Monday.

With kind regards
Amal Haddad
"""),
        Mail("server", "nurse@clinic.example", "reception@partner.example",
             _header(nurse, "reception@partner.example", "Appointment on Thursday", *_TEXT), """
Hello,

could Mrs. Petrova come at 10:30 instead of 9:00? She depends on the bus from the valley.

.
Thanks – Nora
"""),
        Mail("server", "haddad@clinic.example", "imaging@partner.example results@partner.example",
             _header(doctor, "imaging@partner.example, results@partner.example", "MRI report, knee left",
                     'Content-Type: multipart/mixed; boundary="=_knee"'),
             _mixed("=_knee", "Content-Type: text/plain; charset=us-ascii\n\nThe report is attached.\n",
                    _attachment("application/pdf", "mri-knee-left.pdf",
                                _pdf(["Findings: tear of the medial meniscus, grade 3."])))),
        Mail("server", "billing@clinic.example", "claims@bank.example",
             _header(billing, "claims@bank.example", "Direct debit mandate 4711", *_TEXT), """
Please find the mandate of our patient account 4711 confirmed as of today.
"""),
        Mail("server", "billing@clinic.example", "desk@bank.example",
             _header(billing, "desk@bank.example", "Re: returned payment",
                     "In-Reply-To: <abc.1@bank.example>",
                     "References: " + " ".join(f"<thread-{n}.20261120@bank.example>" for n in range(12)), *_TEXT), """
> which invoice was it?

Invoice 2026-1180, Mr. Tamm, physiotherapy.
"""),
        Mail("server", "haddad@clinic.example", "praxis@oldclinic.example",
             _header(doctor, "praxis@oldclinic.example", "Medikationsplan Frau Müller", *_TEXT), """
Liebe Kollegin,

Frau Müller nimmt jetzt Ramipril 5 mg morgens, Metformin 1000 mg zweimal täglich.

Grüße
Amal Haddad
"""),
        Mail("server", "nurse@clinic.example", "ward3@oldclinic.example",
             _header(nurse, "ward3@oldclinic.example", "Transfer tomorrow", *_TEXT), """
Bed 12 is free from 8 a.m.; the wound needs a new dressing every second day.
"""),
        Mail("application", "lab@clinic.example", "intake@lab.example",
             _header(lab, "intake@lab.example", "Order 88213: HbA1c, lipids",
                     'Content-Type: multipart/mixed; boundary="=_order"'),
             _mixed("=_order", "Content-Type: text/plain; charset=us-ascii\n\nOrder 88213\n",
                    _attachment("application/octet-stream", "order-88213.hl7",
                                b"MSH|^~\\&|CLINIC|MAIN|LAB|EXT|20261125||ORM^O01|88213|P|2.5\r"
                                b"PID|1||4471||OKAFOR^JOSEPH||19610314|M\r"))),
        Mail("application", "lab@clinic.example", "courier@lab.example",
             _header(lab, "courier@lab.example", "Pick-up at 14:00", *_TEXT), "\nFour samples, two of them on ice.\n"),
        Mail("server", "nurse@clinic.example", "anna@plain.example",
             _header(nurse, "anna@plain.example", "Your results", *_TEXT), """
Dear Mrs. Sorel,

your blood count is back to normal. Please go on with the iron tablets until Christmas.
"""),
        Mail("server", "nurse@clinic.example", "paul@plain.example",
             _header(nurse, "paul@plain.example", "Before your operation", 'Content-Type: multipart/alternative; boundary="=_alt"'),
             _mixed("=_alt", "Content-Type: text/plain; charset=utf-8\n\nNothing to eat after midnight.\n",
                    "Content-Type: text/html; charset=utf-8\n\n<html><body><p>Nothing to eat after "
                    "<b>midnight</b>.</p></body></html>\n")),
        Mail("server", "nurse@clinic.example", "readers@newsletter.example",
             _header(nurse, "readers@newsletter.example", "Open day at the clinic on 5 December", *_TEXT), """
Come and see the new ward! Coffee and cake from three o'clock.
"""),
        Mail("server", "haddad@clinic.example", "contact@nosuch.example",
             _header(doctor, "contact@nosuch.example", "Second opinion", *_TEXT), "\nWould you look at these films?\n"),
        Mail("server", "billing@clinic.example", "info@nomail.example",
             _header(billing, "info@nomail.example", "Reminder", *_TEXT), "\nInvoice 2026-0931 is still open.\n"),
        Mail("server", "nurse@clinic.example", "someone@freemail.example",
             _header(nurse, "someone@freemail.example", "Photos of the rash", *_TEXT), "\nSee attachment.\n"),
        Mail("server", "haddad@clinic.example", "board@partner.example",
             _header(doctor, "board@partner.example", "[review] Case for the tumour board – Frau Weiß", *_TEXT), """
Staging complete: cT2 cN0 cM0.
"""),
        Mail("server", "haddad@clinic.example", "archive@partner.example",
             _header(doctor, "archive@partner.example", "Series of 40 images",
                     'Content-Type: multipart/mixed; boundary="=_img"'),
             _mixed("=_img", "Content-Type: text/plain\n\nAs discussed.\n",
                    _attachment("image/x-portable-graymap", "series.pgm", b"P5 640 400 255\n" + bytes(256000)))),
        Mail("server", "haddad@clinic.example", "nurse@clinic.example",
             _header(doctor, "nurse@clinic.example", "Round at four", *_TEXT), "\nMeet me at bed 7, please.\n"),
        Mail("outside", "cardiology@partner.example", "haddad@clinic.example",
             _header("Cardiology <cardiology@partner.example>", "haddad@clinic.example", "Re: Referral: Mr. J. Okafor",
                     *_TEXT), "\nSeen today; stress test on Friday.\n"),
        Mail("outside", "anna@plain.example", "nurse@clinic.example",
             _header("Anna Sorel <anna@plain.example>", "nurse@clinic.example", "Thank you", *_TEXT),
             "\nThank you for the good news!\n"),
        Mail("outside", "stranger@elsewhere.example", "victim@partner.example",
             _header("Stranger <stranger@elsewhere.example>", "victim@partner.example", "You have won", *_TEXT),
             "\nAn open relay would take this one.\n"),
    ]
